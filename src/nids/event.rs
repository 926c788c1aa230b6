//! What happens, told to whoever runs the coupling: the command line prints it, Zeek's side answers with it. Owns its names in JSON.

use serde::Serialize;

/// Something that happened. Times of packets and of events are RFC 3339, lengths of time ns.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event<'a> {
    /// An alert that a rule acts on.
    Alert {
        /// Of its packet.
        time: String,
        /// Name of the rule.
        rule: &'a str,
        /// `1:2024897`, or a notice's name.
        what: String,
        /// Text of the signature or message of the notice.
        signature: Option<&'a str>,
        /// Connection.
        conn: Option<String>,
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
#[derive(Debug, Default, Serialize)]
pub struct Action<'a> {
    /// `suspend_cutoff`, `assign`, `hold_connection`, `hold_offender`, `feed_back`.
    pub action: &'static str,
    /// Name of the rule.
    pub rule: &'a str,
    /// `1:2024897`, or a notice's name.
    pub what: String,
    /// What it was done to.
    pub to: String,
    /// Why it was not done.
    pub error: Option<String>,
    /// Name of the hold.
    pub hold: Option<String>,
    /// Where its packets are.
    pub file: Option<String>,
    /// Packets held.
    pub packets: Option<u64>,
    /// Their file's length.
    pub bytes: Option<u64>,
    /// Its SHA-256.
    pub sha256: Option<String>,
    /// How long it took, ns.
    pub took_ns: u64,
    /// From when the alert was read, ns.
    pub since_alert_ns: u64,
    /// From the alert's packet, ns: the NIDS' own delay is in it.
    pub since_packet_ns: u64,
    /// Whoever sent the alert waits for an answer under this name.
    pub request: Option<String>,
}

/// Why something came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Lines or messages read.
    pub records: u64,
    /// Alerts among them.
    pub alerts: u64,
    /// Alerts that no rule acts on.
    pub unmatched: u64,
    /// Alerts about what was done lately.
    pub repeated: u64,
    /// Alerts past a limit.
    pub limited: u64,
    /// Alerts that found too many waiting.
    pub waiting: u64,
    /// Alerts about packets that were fed back.
    pub echoes: u64,
    /// Alerts acted on.
    pub acted: u64,
    /// Lines or messages that could not be read, too long ones too.
    pub malformed: u64,
    /// Cutoffs lifted.
    pub suspended: u64,
    /// Offenders assigned.
    pub assigned: u64,
    /// Holds made.
    pub held: u64,
    /// Captures fed back.
    pub fed_back: u64,
    /// Actions that could not be done.
    pub failed: u64,
    /// Orders, of those acted on, that were not carried out because all ended, or not wholly.
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
