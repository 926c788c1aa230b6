//! Finds the words of an expression that libpcap would look up as host, network or Ethernet names, and refuses them:
//! an answer must not depend on, nor wait for, another machine. Words are cut as libpcap's scanner cuts them (longest
//! match), and the qualifier in force is followed as its grammar does. Names of ports, port ranges and protocols
//! (`port http`, `ip proto tcp`) stay allowed: they come from this machine's /etc/services and /etc/protocols.
//!
//! In doubt a word is refused: any that is neither a keyword, a number nor an address, and does not follow `port`,
//! `portrange`, `proto`, `protochain` or a keyword that takes a word of its own.

use super::{FilterError, Place};
use std::net::Ipv6Addr;

/// No address with colons is longer: eight groups of four digits, the last two of them as an IPv4 address.
const ADDRESS_MAX: usize = 45;

/// A token: its byte range in the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) offset: usize,
    pub(super) text: &'a str,
    kind: TokenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    /// A keyword or an identifier.
    Word,
    /// Number, IPv4 address or prefix, IPv6 address, MAC address: nothing to look up.
    Literal,
    /// `\word`: an identifier even if it spells a keyword.
    Escaped,
    /// Operators, brackets, and whatever libpcap's scanner will refuse.
    Symbol,
}

/// What an identifier would be taken for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// A host, network, gateway or Ethernet name: would be looked up.
    Address,
    /// The name of a port or of a protocol.
    Number,
}

/// Keywords that begin a new qualifier: after them alone an identifier is a host.
const QUALIFIERS: &[&str] = &[
    "dst", "src", "link", "ether", "ppp", "slip", "fddi", "tr", "wlan", "arp", "rarp", "ip", "sctp", "tcp", "udp",
    "icmp", "igmp", "igrp", "pim", "vrrp", "carp", "radio", "ip6", "icmp6", "ah", "esp", "atalk", "aarp", "decnet",
    "lat", "sca", "moprc", "mopdl", "iso", "esis", "es-is", "isis", "is-is", "l1", "l2", "iih", "lsp", "snp", "csnp",
    "psnp", "clnp", "stp", "ipx", "netbeui", "host", "net", "mask", "gateway", "address1", "addr1", "address2",
    "addr2", "address3", "addr3", "address4", "addr4", "ra", "ta",
];

/// Keywords after which an identifier names a port or a protocol.
const NUMBERED: &[&str] = &["port", "portrange", "proto", "protochain"];

/// Keywords whose next identifier is a word of theirs.
const WITH_WORD: &[&str] = &[
    "type",
    "subtype",
    "direction",
    "dir",
    "llc",
    "on",
    "ifname",
    "rset",
    "ruleset",
    "rnr",
    "rulenum",
    "srnr",
    "subrulenum",
    "reason",
    "action",
];

/// Keywords that change nothing here.
const OTHERS: &[&str] = &[
    "less",
    "greater",
    "byte",
    "broadcast",
    "multicast",
    "and",
    "or",
    "not",
    "len",
    "length",
    "inbound",
    "outbound",
    "ifindex",
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "geneve",
    "vxlan",
    "lane",
    "metac",
    "bcc",
    "oam",
    "oamf4",
    "oamf4ec",
    "oamf4sc",
    "sc",
    "ilmic",
    "vpi",
    "vci",
    "connectmsg",
    "metaconnect",
    "fisu",
    "lssu",
    "lsu",
    "msu",
    "hfisu",
    "hlssu",
    "hmsu",
    "sio",
    "opc",
    "dpc",
    "sls",
    "hsio",
    "hopc",
    "hdpc",
    "hsls",
    "icmptype",
    "icmpcode",
    "tcpflags",
];

/// Names of ICMP types and TCP flags: all begin with these and are numbers to libpcap. One that it does not know is an
/// identifier, so they are listed in full.
const CONSTANTS: &[&str] = &[
    "icmp-echoreply",
    "icmp-unreach",
    "icmp-sourcequench",
    "icmp-redirect",
    "icmp-echo",
    "icmp-routeradvert",
    "icmp-routersolicit",
    "icmp-timxceed",
    "icmp-paramprob",
    "icmp-tstamp",
    "icmp-tstampreply",
    "icmp-ireq",
    "icmp-ireqreply",
    "icmp-maskreq",
    "icmp-maskreply",
    "icmp6type",
    "icmp6code",
    "icmp6-destinationunreach",
    "icmp6-packettoobig",
    "icmp6-timeexceeded",
    "icmp6-parameterproblem",
    "icmp6-echo",
    "icmp6-echoreply",
    "icmp6-multicastlistenerquery",
    "icmp6-multicastlistenerreportv1",
    "icmp6-multicastlistenerdone",
    "icmp6-routersolicit",
    "icmp6-routeradvert",
    "icmp6-neighborsolicit",
    "icmp6-neighboradvert",
    "icmp6-redirect",
    "icmp6-routerrenum",
    "icmp6-nodeinformationquery",
    "icmp6-nodeinformationresponse",
    "icmp6-ineighbordiscoverysolicit",
    "icmp6-ineighbordiscoveryadvert",
    "icmp6-multicastlistenerreportv2",
    "icmp6-homeagentdiscoveryrequest",
    "icmp6-homeagentdiscoveryreply",
    "icmp6-mobileprefixsolicit",
    "icmp6-mobileprefixadvert",
    "icmp6-certpathsolicit",
    "icmp6-certpathadvert",
    "icmp6-multicastrouteradvert",
    "icmp6-multicastroutersolicit",
    "icmp6-multicastrouterterm",
    "tcp-fin",
    "tcp-syn",
    "tcp-rst",
    "tcp-push",
    "tcp-ack",
    "tcp-urg",
    "tcp-ece",
    "tcp-cwr",
];

/// Refuses the first word that libpcap would look up as an address.
pub(super) fn refuse(expression: &str) -> Result<(), FilterError> {
    let mut position = Position::Address;
    let mut before = "";
    for token in tokens(expression) {
        let identifier = match token.kind {
            TokenKind::Escaped => true,
            TokenKind::Word if QUALIFIERS.contains(&token.text) => {
                position = Position::Address;
                false
            }
            TokenKind::Word if NUMBERED.contains(&token.text) => {
                position = Position::Number;
                false
            }
            TokenKind::Word => ![WITH_WORD, OTHERS, CONSTANTS].iter().any(|list| list.contains(&token.text)),
            TokenKind::Literal | TokenKind::Symbol => false,
        };
        if identifier && position == Position::Address && !WITH_WORD.contains(&before) {
            return Err(FilterError::Name { place: token.place() });
        }
        before = if token.kind == TokenKind::Word { token.text } else { "" };
    }
    Ok(())
}

impl Token<'_> {
    pub(super) fn place(&self) -> Place {
        Place { offset: self.offset, word: self.text.to_owned() }
    }
}

/// Cuts an expression into tokens, as libpcap's scanner.l does.
pub(super) fn tokens(expression: &str) -> impl Iterator<Item = Token<'_>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = expression.get(offset..)?;
        let rest_trimmed = rest.trim_start_matches([' ', '\r', '\n', '\t']);
        let start = offset + (rest.len() - rest_trimmed.len());
        let (kind, len) = first_token(rest_trimmed)?;
        offset = start + len;
        Some(Token { offset: start, text: expression.get(start..offset)?, kind })
    })
}

fn first_token(s: &str) -> Option<(TokenKind, usize)> {
    let first = s.chars().next()?;
    if first == '\\' {
        let len = s.find([' ', '!', '(', ')', '\n', '\t']).unwrap_or(s.len());
        return Some(if len > 1 { (TokenKind::Escaped, len) } else { (TokenKind::Symbol, 1) });
    }
    let word = word_len(s);
    // Addresses with colons, unless a word reaches further (the longest match wins, as with flex). No further than an address reaches: else
    // each token of `1:1:1:` would look through all that follow.
    let colon = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let colons = s.bytes().take(ADDRESS_MAX + 1).take_while(colon).count();
    let address = s.get(..colons).filter(|a| colons <= ADDRESS_MAX && colons >= word && a.contains(':'));
    if address.is_some_and(|a| a.parse::<Ipv6Addr>().is_ok() || is_mac(a, ':')) {
        return Some((TokenKind::Literal, colons));
    }
    if word == 0 {
        return Some((TokenKind::Symbol, first.len_utf8()));
    }
    let text = s.get(..word)?;
    let literal = is_number(text) || is_ipv4(text) || is_mac(text, '.') || is_mac(text, '-') || is_bare_mac(text);
    Some((if literal { TokenKind::Literal } else { TokenKind::Word }, word))
}

/// Length of `[A-Za-z0-9]([-_.A-Za-z0-9]*[.A-Za-z0-9])?` at the start of `s`, 0 if there is none.
fn word_len(s: &str) -> usize {
    if !s.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return 0;
    }
    let run = s.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(s.len());
    s.get(..run).map_or(0, |r| r.trim_end_matches(['-', '_']).len())
}

/// `[0-9]+` or `0x` and hexadecimal digits.
fn is_number(s: &str) -> bool {
    let hex = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X"));
    match hex {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Two to four numbers between dots: an address, or a prefix of one.
fn is_ipv4(s: &str) -> bool {
    s.split('.').all(is_number) && (2..=4).contains(&s.split('.').count())
}

/// Six groups of one or two hexadecimal digits.
fn is_mac(s: &str, separator: char) -> bool {
    let group = |g: &str| (1..=2).contains(&g.len()) && g.bytes().all(|b| b.is_ascii_hexdigit());
    s.split(separator).count() == 6 && s.split(separator).all(group)
}

/// `aabb.ccdd.eeff` or `aabbccddeeff`.
fn is_bare_mac(s: &str) -> bool {
    let group = |g: &str| g.len() == 4 && g.bytes().all(|b| b.is_ascii_hexdigit());
    (s.len() == 12 && s.bytes().all(|b| b.is_ascii_hexdigit()))
        || (s.split('.').count() == 3 && s.split('.').all(group))
}
