//! The rules: a TOML file that says which alerts do what. Owns its keys and what they mean; must never guess: an unknown key or a wrong
//! value is an error with line, column and what is allowed. `tuning/nids.toml.sample` tells every key.

use super::alert::Alert;
use super::daemon::Terms;
use super::values::{Pattern, Rate};
use crate::config::{Size, Span};
use crate::limits::{NIDS_HELD_BYTES, NIDS_HOLD_AGE_NS, NIDS_HOLD_BYTES};
use crate::units;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use toml::Spanned;

const HOUR: u64 = 3_600_000_000_000;

/// What is wrong with a file of rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It cannot be read.
    #[error("cannot read the rules {path}: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: std::io::Error,
    },
    /// Not TOML, or a key or value that is none; `message` has line and column.
    #[error("{path}: {message}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
}

/// All rules, and what holds for each of them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// In their order: the first that matches decides.
    pub rules: Vec<Rule>,
    /// Most orders because of one offender.
    pub per_offender: Rate,
    /// An action is not repeated for the same connection or offender in this time, ns.
    pub again: u64,
    /// What holds may take, and how long they are kept.
    pub terms: Terms,
}

/// Which end of a connection is the offender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offender {
    /// Sender of the packet that raised the alert.
    Source,
    /// Its receiver.
    Destination,
    /// Whom the alert calls so; the sender where it says nothing.
    #[default]
    Attacker,
}

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// The packets of the connection.
    Connection,
    /// All packets of the offender, back to `history`.
    Offender,
}

/// A class for the offender.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// Its name.
    pub class: String,
    /// For so long.
    #[serde(rename = "for")]
    pub lasting: Span,
}

/// One rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// For people and statistics.
    pub name: String,
    /// Signature ids.
    pub sid: Vec<u64>,
    /// Generators.
    pub gid: Vec<u64>,
    /// This grave or graver: 1 is the gravest.
    pub severity: Option<u64>,
    /// Pattern of the category.
    pub category: Option<Pattern>,
    /// Pattern of the signature's text or the notice's message.
    pub signature: Option<Pattern>,
    /// Pattern of the notice's name.
    pub notice: Option<Pattern>,
    /// Networks that the packet's sender is in.
    pub source: Vec<IpNet>,
    /// Networks that its receiver is in.
    pub destination: Vec<IpNet>,
    /// Nothing is done.
    pub ignore: bool,
    /// Who is assigned, held, limited.
    pub offender: Offender,
    /// The connection is stored whole from now on, so long.
    pub suspend_cutoff: Option<Span>,
    /// The offender's connections get this class.
    pub assign: Option<Assign>,
    /// What is kept beyond every budget.
    pub hold: Vec<Kept>,
    /// What comes of the held connection is held, too, so long.
    pub follow: Option<Span>,
    /// How far back the offender's packets are held.
    pub history: Option<Span>,
    /// The held packets of the connection are given back to the NIDS.
    pub feed_back: bool,
    /// Most orders of this rule.
    pub limit: Option<Rate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    per_offender: Option<Rate>,
    again: Option<Span>,
    hold_size: Option<Size>,
    hold_age: Option<Span>,
    hold_share: Option<Size>,
    #[serde(default)]
    rule: Vec<Spanned<Rule>>,
}

impl Rules {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Rules, RulesError> {
        let text = std::fs::read_to_string(path).map_err(|why| RulesError::Read { path: path.to_owned(), why })?;
        Rules::parse(&text, path)
    }

    /// Reads a text; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Rules, RulesError> {
        let wrong = |message: String| RulesError::Wrong { path: path.to_owned(), message };
        let file: File = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        let mut rules: Vec<Rule> = Vec::with_capacity(file.rule.len());
        for spanned in file.rule {
            let (line, column) = crate::config::place(text, spanned.span().start);
            let rule = spanned.into_inner();
            let other = |r: &Rule| r.name == rule.name;
            let why = if rules.iter().any(other) {
                Some("a rule before it has the same name".into())
            } else {
                rule.nonsense()
            };
            if let Some(why) = why {
                return Err(wrong(format!("line {line}, column {column}, rule {:?}: {why}", rule.name)));
            }
            rules.push(rule);
        }
        if rules.is_empty() {
            return Err(wrong("there is no [[rule]]: no alert would do anything".into()));
        }
        let per_offender = file.per_offender.unwrap_or(Rate { count: 20, time: HOUR / 60 });
        let terms = Terms {
            size: file.hold_size.map_or(NIDS_HOLD_BYTES, |Size(n)| n),
            age: file.hold_age.map_or(NIDS_HOLD_AGE_NS, |Span(ns)| ns),
            share: file.hold_share.map_or(NIDS_HELD_BYTES, |Size(n)| n),
        };
        if terms.size == 0 || terms.age == 0 || terms.share == 0 {
            return Err(wrong(
                "hold_size, hold_age and hold_share are above 0: where nothing is to be held no rule says hold".into(),
            ));
        }
        Ok(Rules { rules, per_offender, again: file.again.map_or(HOUR / 6, |s| s.0), terms })
    }

    /// The first rule that matches.
    pub fn find(&self, alert: &Alert) -> Option<(usize, &Rule)> {
        self.rules.iter().enumerate().find(|(_, r)| r.matches(alert))
    }

    /// Whether any feeds packets back.
    pub fn feed_back(&self) -> bool {
        self.rules.iter().any(|r| r.feed_back)
    }
}

impl Rule {
    fn matches(&self, a: &Alert) -> bool {
        let one_of = |list: &[u64], n: Option<u64>| list.is_empty() || n.is_some_and(|n| list.contains(&n));
        let within = |nets: &[IpNet], ip: Option<IpAddr>| {
            nets.is_empty() || ip.is_some_and(|ip| nets.iter().any(|n| n.contains(&ip)))
        };
        let like = |pattern: &Option<Pattern>, text: &Option<String>| {
            pattern.as_ref().is_none_or(|p| p.is_in(text.as_deref()))
        };
        one_of(&self.sid, a.sid)
            && one_of(&self.gid, a.gid)
            && self.severity.is_none_or(|most| a.severity.is_some_and(|s| s <= most))
            && like(&self.category, &a.category)
            && like(&self.signature, &a.signature)
            && like(&self.notice, &a.notice)
            && within(&self.source, a.source)
            && within(&self.destination, a.destination)
    }

    /// Who the offender of an alert is.
    pub fn offender_of(&self, a: &Alert) -> Option<IpAddr> {
        match self.offender {
            Offender::Source => a.source,
            Offender::Destination => a.destination,
            Offender::Attacker => a.attacker.or(a.source),
        }
    }

    /// How far back the offender's packets are held, ns.
    pub fn history(&self) -> u64 {
        self.history.map_or(HOUR, |s| s.0)
    }

    /// Most orders.
    pub fn limit(&self) -> Rate {
        self.limit.unwrap_or(Rate { count: 60, time: HOUR / 60 })
    }

    fn acts(&self) -> bool {
        self.suspend_cutoff.is_some() || self.assign.is_some() || !self.hold.is_empty()
    }

    /// What makes no sense though every value does.
    fn nonsense(&self) -> Option<String> {
        let least = 1_000_000_000;
        let short = [
            ("suspend_cutoff", self.suspend_cutoff),
            ("follow", self.follow),
            ("assign.for", self.assign.as_ref().map(|a| a.lasting)),
        ];
        if self.name.trim().is_empty() {
            return Some("it has no name: write name = \"...\"".into());
        }
        if self.ignore && (self.acts() || self.feed_back) {
            return Some("ignore = true and an action: one of them".into());
        }
        if !self.ignore && !self.acts() {
            return Some("it does nothing: write suspend_cutoff, assign, hold, or ignore = true".into());
        }
        if self.feed_back && !self.hold.contains(&Kept::Connection) {
            return Some("feed_back gives held packets back: write hold = [\"connection\"] too".into());
        }
        if self.follow.is_some() && !self.hold.contains(&Kept::Connection) {
            return Some("follow goes on with a held connection: write hold = [\"connection\"] too".into());
        }
        if self.history.is_some() && !self.hold.contains(&Kept::Offender) {
            return Some("history says how far back the offender is held: write hold = [\"offender\"] too".into());
        }
        if self.severity == Some(0) {
            return Some("severity is at least 1, the gravest".into());
        }
        short.iter().find_map(|(key, span)| {
            let ns = span.filter(|s| s.0 < least)?.0;
            Some(format!("{key} is {}: a second is the least", units::duration(ns)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Rules, String> {
        Rules::parse(text, Path::new("nids.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn the_sample_works_as_it_is() {
        let rules = Rules::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/nids.toml.sample"))).unwrap();
        assert!(rules.rules.len() >= 3);
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = parse(
            "[[rule]]\nname = \"noise\"\nsid = [5]\nignore = true\n\
             [[rule]]\nname = \"inside\"\nsource = [\"10.0.0.0/8\", \"2001:db8::/32\"]\nseverity = 2\nhold = [\"connection\"]\n\
             [[rule]]\nname = \"scan\"\nnotice = \"^Scan::\"\noffender = \"source\"\nassign = { class = \"suspects\", for = \"1h\" }\n",
        )
        .unwrap();
        let name = |a: &Alert| rules.find(a).map(|(_, r)| r.name.clone());
        let mut a = Alert { sid: Some(5), severity: Some(1), source: "10.1.1.1".parse().ok(), ..Alert::default() };
        assert_eq!(name(&a).as_deref(), Some("noise"));
        a.sid = Some(6);
        assert_eq!(name(&a).as_deref(), Some("inside"));
        a.severity = Some(3);
        assert_eq!(name(&a), None);
        let a =
            Alert { notice: Some("Scan::Port_Scan".into()), source: "2001:db8::1".parse().ok(), ..Alert::default() };
        assert_eq!(name(&a).as_deref(), Some("scan"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let rule = |text: &str| format!("again = \"1m\"\n[[rule]]\nname = \"x\"\n{text}\n");
        for (text, parts) in [
            (rule("hold = [\"connection\"]\nsids = [5]"), ["line 5", "sids"]),
            (rule("hold = [\"everything\"]"), ["line 4", "connection"]),
            (rule("hold = [\"connection\"]\nlimit = \"often\""), ["line 5, column 9", "60/1m"]),
            (rule("hold = [\"connection\"]\nsignature = \"a(\""), ["line 5, column 13", "unclosed group"]),
            (rule("hold = [\"connection\"]\nsource = [\"10.0.0.0/99\"]"), ["line 5", "column"]),
            (rule("suspend_cutoff = \"10\""), ["line 4", "duration"]),
            (rule("suspend_cutoff = \"10ms\""), ["line 2", "least"]),
            (rule("sid = [5]"), ["line 2", "does nothing"]),
            (rule("sid = [-5]\nhold = []"), ["line 4", "-5"]),
            (rule("ignore = true\nhold = [\"offender\"]"), ["line 2", "one of them"]),
            (rule("hold = [\"offender\"]\nfeed_back = true"), ["line 2", "feed_back"]),
            (rule("hold = [\"offender\"]\nfollow = \"10m\""), ["line 2", "follow"]),
            (rule("hold = [\"connection\"]\nfollow = \"10ms\""), ["follow", "least"]),
            (rule("hold = [\"offender\"]\n[[rule]]\nname = \"x\"\nignore = true"), ["line 5", "same name"]),
            (rule("assign = { class = \"a\" }"), ["line 4", "for"]),
            ("again = \"1m\"".into(), ["[[rule]]", "no alert"]),
            (format!("hold_size = \"1 apple\"\n{}", rule("ignore = true")), ["line 1", "size"]),
            (format!("hold_age = \"0s\"\n{}", rule("ignore = true")), ["hold_age", "above 0"]),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(parts.iter().all(|p| error.contains(p)), "{text}: {error}");
        }
    }
}
