//! What happens, told to whoever runs the coupling: the command line prints it, Zeek's side answers with it. Owns its names in JSON.

use crate::query::ConnSpec;
use crate::shape::{Count, Ends, Maybe, Seconds, Time};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// Something that happened. In JSON `kind` says what.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "NidsEvent")]
#[expect(clippy::large_enum_variant, reason = "told one at a time, by reference, and never kept")]
pub enum Event<'a> {
    /// An alert that a rule acts on.
    Alert {
        /// Of its packet.
        #[serde(with = "Time")]
        time: u64,
        /// Name of the rule.
        rule: &'a str,
        /// `1:2024897`, or a notice's name.
        what: String,
        /// Text of the signature or message of the notice.
        signature: Option<&'a str>,
        /// Its connection; null: it has none that can be named.
        connection: Option<Ends>,
        /// Offender.
        offender: Option<String>,
    },
    /// Something that was done, or could not be.
    Action(Action<'a>),
    /// Alerts or lines that came to nothing, since this was last told.
    Trouble {
        /// Which kind.
        what: Trouble,
        /// How many.
        #[serde(with = "Count")]
        count: u64,
        /// About the last of them.
        why: &'a str,
    },
    /// A NIDS or the recorder has come or gone.
    Peer {
        /// Who.
        peer: &'a str,
        /// Whether it is there now.
        there: bool,
        /// More.
        why: &'a str,
    },
    /// The end.
    Final(Counts),
}

/// One action.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Action<'a> {
    /// `suspend_cutoff`, `assign`, `hold_connection`, `hold_offender`, `feed_back`.
    pub action: &'static str,
    /// Name of the rule.
    pub rule: &'a str,
    /// `1:2024897`, or a notice's name.
    pub what: String,
    /// What it was done to.
    pub to: ActedOn,
    /// Why it was not done.
    pub error: Option<String>,
    /// Name of the hold.
    pub hold: Option<String>,
    /// Where its packets are.
    pub file: Option<String>,
    /// Packets held.
    #[serde(with = "Maybe::<Count>")]
    pub packets: Option<u64>,
    /// Their file's length.
    #[serde(with = "Maybe::<Count>")]
    pub file_bytes: Option<u64>,
    /// Its SHA-256.
    pub sha256: Option<String>,
    /// How long it took.
    #[serde(rename = "took_seconds", with = "Seconds")]
    pub took_ns: u64,
    /// From when the alert was read.
    #[serde(rename = "since_alert_seconds", with = "Seconds")]
    pub since_alert_ns: u64,
    /// From the alert's packet: the NIDS' own delay is in it.
    #[serde(rename = "since_packet_seconds", with = "Seconds")]
    pub since_packet_ns: u64,
    /// Whoever sent the alert waits for an answer under this name.
    pub request: Option<String>,
}

/// What something was done to.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ActedOn {
    /// A connection.
    pub connection: Option<Ends>,
    /// An address.
    pub address: Option<IpAddr>,
    /// The class that it was given.
    pub class: Option<String>,
    /// Where packets were fed back: a socket, or a folder.
    pub place: Option<String>,
}

impl ActedOn {
    /// A connection.
    pub fn connection(conn: &ConnSpec) -> ActedOn {
        ActedOn { connection: Some(conn.ends()), ..ActedOn::default() }
    }

    /// An address.
    pub fn address(address: IpAddr) -> ActedOn {
        ActedOn { address: Some(address), ..ActedOn::default() }
    }
}

/// For people.
impl fmt::Display for ActedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, &self.class) {
            (ActedOn { connection: Some(c), .. }, _) => c.fmt(f),
            (ActedOn { address: Some(a), .. }, Some(class)) => write!(f, "{a} to {class}"),
            (ActedOn { address: Some(a), .. }, None) => a.fmt(f),
            _ => f.write_str(self.place.as_deref().unwrap_or_default()),
        }
    }
}

/// Why something came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It can't be read.
    Malformed,
    /// Longer than is taken.
    TooLong,
    /// More than a rule or an offender may.
    Limited,
    /// More orders wait than are taken.
    Waiting,
    /// More connections than are taken.
    Crowded,
    /// Orders that were not carried out because all ended.
    Left,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Trouble; 6] =
        [Trouble::Malformed, Trouble::TooLong, Trouble::Limited, Trouble::Waiting, Trouble::Crowded, Trouble::Left];
}

/// How often what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Lines or messages read.
    #[serde(with = "Count")]
    pub records: u64,
    /// Alerts among them.
    #[serde(with = "Count")]
    pub alerts: u64,
    /// Alerts that no rule acts on.
    #[serde(with = "Count")]
    pub unmatched: u64,
    /// Alerts about what was done lately.
    #[serde(with = "Count")]
    pub repeated: u64,
    /// Alerts past a limit.
    #[serde(with = "Count")]
    pub limited: u64,
    /// Alerts that found too many waiting.
    #[serde(with = "Count")]
    pub waiting: u64,
    /// Alerts about packets that were fed back.
    #[serde(with = "Count")]
    pub echoes: u64,
    /// Alerts acted on.
    #[serde(with = "Count")]
    pub acted: u64,
    /// Lines or messages that could not be read, too long ones too.
    #[serde(with = "Count")]
    pub malformed: u64,
    /// Cutoffs lifted.
    #[serde(with = "Count")]
    pub suspended: u64,
    /// Offenders assigned.
    #[serde(with = "Count")]
    pub assigned: u64,
    /// Holds made.
    #[serde(with = "Count")]
    pub held: u64,
    /// Captures fed back.
    #[serde(with = "Count")]
    pub fed_back: u64,
    /// Actions that could not be done.
    #[serde(with = "Count")]
    pub failed: u64,
    /// Orders, of those acted on, that were not carried out because all ended, or not wholly.
    #[serde(with = "Count")]
    pub left: u64,
}

impl Counts {
    /// Every alert is in exactly one of these.
    pub fn adds_up(&self) -> bool {
        self.alerts == self.unmatched + self.repeated + self.limited + self.waiting + self.echoes + self.acted
    }
}

/// Whoever wants to know.
pub trait Events: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}
