//! Tokens of pcap-filter(7). Owns the lexical rules of libpcap 1.10 (`scanner.l`): longest match, then order of the rules.
//! Called by the parser of this folder only. What it can't tell apart it calls [`Kind::Other`]: the expression is then
//! libpcap's alone, and prunes nothing.

use std::net::Ipv6Addr;

/// No IPv6 address is longer, and no MAC: eight groups of four digits, the last two of them as an IPv4 address.
const COLONS_MAX: usize = 45;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a name.
    Word,
    /// A name behind a backslash: never a keyword.
    Escaped,
    /// A number.
    Num(u32),
    /// A number that libpcap gives a name, like `tcp-syn`; its value plays no part here.
    NamedNum,
    /// Two to four numbers with dots.
    Dotted,
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// A MAC address, or an ARCnet one.
    Mac,
    /// `and`, `&&`.
    And,
    /// `or`, `||`.
    Or,
    /// `not`, `!`.
    Not,
    /// An operator or a bracket; two-character operators by their meaning: `>=` is `G`, `<=` `L`, `!=` `N`, `<<` and `>>` `S`.
    Sym(u8),
    /// Something else.
    Other,
}

/// One token of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// What it is.
    pub kind: Kind,
    /// As written, without a backslash.
    pub text: &'t str,
    /// Byte offset in the expression.
    pub at: usize,
}

/// All tokens of `text`.
pub fn lex(text: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        let blank = rest.len() - rest.trim_start_matches([' ', '\r', '\n', '\t']).len();
        if blank > 0 {
            at += blank;
            continue;
        }
        let (kind, len) = one(rest);
        let body = rest.get(..len).unwrap_or(rest);
        let body = if kind == Kind::Escaped { body.get(1..).unwrap_or(body) } else { body };
        out.push(Token { kind, text: body, at });
        at += len.max(1);
    }
    out
}

/// The first token of `rest` (not empty) and its length in bytes.
fn one(rest: &str) -> (Kind, usize) {
    let run = |ok: fn(char) -> bool| rest.find(|c| !ok(c)).unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        '\\' => {
            let len = rest.find([' ', '!', '(', ')', '\n', '\t']).unwrap_or(rest.len());
            if len > 1 { (Kind::Escaped, len) } else { (Kind::Other, len) }
        }
        '$' => (Kind::Mac, 1 + rest.chars().skip(1).take(2).take_while(char::is_ascii_hexdigit).count()),
        c if c.is_ascii_alphanumeric() || c == ':' => {
            // No further than an address reaches: else each token of `1:1:1:` would look through all that follow.
            let hex = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            let hex = rest.bytes().take(COLONS_MAX).take_while(hex).count();
            if let Some((kind, len)) = rest.get(..hex).and_then(colons) {
                return (kind, len);
            }
            if c == ':' {
                return (Kind::Sym(b':'), 1);
            }
            let name = run(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            let name = rest.get(..name).unwrap_or_default().trim_end_matches(['-', '_']);
            (word(name), name.len())
        }
        _ => match rest.get(..2).unwrap_or_default() {
            ">=" => (Kind::Sym(b'G'), 2),
            "<=" => (Kind::Sym(b'L'), 2),
            "!=" => (Kind::Sym(b'N'), 2),
            "==" => (Kind::Sym(b'='), 2),
            "<<" | ">>" => (Kind::Sym(b'S'), 2),
            "&&" => (Kind::And, 2),
            "||" => (Kind::Or, 2),
            _ if first == '!' => (Kind::Not, 1),
            _ if "+-*/%:[]<>()&|^=".contains(first) => (Kind::Sym(first as u8), 1),
            _ => (Kind::Other, first.len_utf8()),
        },
    }
}

/// The longest IPv6 address or MAC with colons that `run` (hex digits, colons, dots) begins with.
fn colons(run: &str) -> Option<(Kind, usize)> {
    if !run.contains("::") && run.matches(':').count() < 5 {
        return None;
    }
    (2..=run.len()).rev().find_map(|len| {
        let s = run.get(..len)?;
        if let Ok(a) = s.parse() {
            return Some((Kind::V6(a), len));
        }
        is_mac(s, ':').then_some((Kind::Mac, len))
    })
}

/// Six groups of one or two hex digits.
fn is_mac(s: &str, sep: char) -> bool {
    s.split(sep).count() == 6
        && s.split(sep).all(|g| (1..=2).contains(&g.len()) && g.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn word(s: &str) -> Kind {
    let hex = |s: &str, len: usize| s.len() == len && s.bytes().all(|b| b.is_ascii_hexdigit());
    if is_mac(s, '-') || is_mac(s, '.') || hex(s, 12) || s.split('.').count() == 3 && s.split('.').all(|g| hex(g, 4)) {
        return Kind::Mac;
    }
    if is_number(s) {
        return number(s).map_or(Kind::Other, Kind::Num);
    }
    if (2..=4).contains(&s.split('.').count()) && s.split('.').all(is_number) {
        return Kind::Dotted;
    }
    match s {
        "and" => Kind::And,
        "or" => Kind::Or,
        "not" => Kind::Not,
        "icmptype" | "icmpcode" | "icmp6type" | "icmp6code" | "tcpflags" => Kind::NamedNum,
        // The names of ICMP types and TCP flags; no keyword has this form.
        _ if ["tcp-", "icmp-", "icmp6-"].iter().any(|p| s.starts_with(p)) => Kind::NamedNum,
        _ => Kind::Word,
    }
}

fn is_number(s: &str) -> bool {
    match s.strip_prefix("0x").or(s.strip_prefix("0X")) {
        Some(h) => !h.is_empty() && h.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Decimal, hexadecimal with `0x`, octal with `0`.
fn number(s: &str) -> Option<u32> {
    match s.strip_prefix("0x").or(s.strip_prefix("0X")) {
        Some(h) => u32::from_str_radix(h, 16).ok(),
        None if s.len() > 1 && s.starts_with('0') => u32::from_str_radix(s, 8).ok(),
        None => s.parse().ok(),
    }
}
