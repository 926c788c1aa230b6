//! The parser of pcap-filter(7): text to [`Expr`]. Follows the grammar of libpcap 1.10 (`grammar.y`): `and` and `or`
//! bind alike and group to the left, `not` binds to one primitive, and an address, number or name without qualifiers takes
//! those of the primitive before it. Called by the planner. Where it does not follow, the answer is "not understood" and
//! the planner prunes nothing; it never judges: that is libpcap's part.

use super::ast::{Expr, Leaf, Op, Shift};
use super::lex::{Kind, Token, lex};
use super::lists::{Entry, Gathering, Run};
use super::primitive::{Addr, End, Qual, address, bare, port, proto, shifted};
use crate::limits::FILTER_DEPTH_MAX;
use std::ops::Range;

/// `None`: not understood. An empty text is for the caller.
pub fn parse(text: &str) -> Option<Expr> {
    parse_with_lists(text).map(|(e, _)| e)
}

/// The same, and its long lists, in order of the text.
pub(super) fn parse_with_lists(text: &str) -> Option<(Expr, Vec<Run>)> {
    let tokens = lex(text);
    let mut p = Parser {
        tokens: &tokens,
        at: 0,
        shifts: vec![],
        depth: 0,
        qual: None,
        entry: None,
        of_head: false,
        lists: vec![],
    };
    let e = p.chain()?;
    p.lists.sort_by_key(|run| run.at.start);
    (p.at == tokens.len()).then_some((e, p.lists))
}

struct Parser<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
    /// Headers stepped over so far, in order of the text.
    shifts: Vec<Shift>,
    depth: usize,
    /// What a bare address, number or name would take.
    qual: Option<Qual<'t>>,
    /// What the item that was read last is in a list.
    entry: Option<Entry>,
    /// Within the brackets of `host (a or b)`, where no qualifiers may stand.
    of_head: bool,
    /// Long lists so far.
    lists: Vec<Run>,
}

impl<'t> Parser<'t> {
    fn peek(&self, ahead: usize) -> Option<Token<'t>> {
        self.tokens.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<Token<'t>> {
        let t = self.peek(0)?;
        self.at += 1;
        Some(t)
    }

    fn word(&self, ahead: usize) -> &'t str {
        self.peek(ahead).filter(|t| t.kind == Kind::Word).map_or("", |t| t.text)
    }

    fn sym(&self, ahead: usize, s: u8) -> bool {
        self.peek(ahead).is_some_and(|t| t.kind == Kind::Sym(s))
    }

    fn take_sym(&mut self, s: u8) -> Option<()> {
        self.sym(0, s).then(|| self.at += 1)
    }

    fn num(&mut self) -> Option<Option<u32>> {
        match self.next()?.kind {
            Kind::Num(n) => Some(Some(n)),
            Kind::NamedNum => Some(None),
            _ => None,
        }
    }

    /// From this token to the one before the next.
    fn since(&self, start: usize) -> Range<usize> {
        let end = |t: &Token<'_>| t.at + t.text.len() + usize::from(t.kind == Kind::Escaped);
        let first = self.tokens.get(start).map_or(0, |t| t.at);
        first..self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(first, end)
    }

    /// `expr`: items and what joins them, up to a bracket or the end.
    fn chain(&mut self) -> Option<Expr> {
        let start = self.at;
        let first = self.item()?;
        let mut items = Gathering::new(first, self.entry.take(), self.of_head);
        while let Some(op) = self.peek(0).and_then(|t| match t.kind {
            Kind::And => Some(Op::And),
            Kind::Or => Some(Op::Or),
            _ => None,
        }) {
            self.at += 1;
            let item = self.item()?;
            items.push(op, item, self.entry.take());
        }
        let (first, rest) = items.finish(&mut self.lists);
        // What is a list itself, or was one, is no entry of another.
        self.entry = None;
        if rest.is_empty() {
            return Some(first);
        }
        Some(Expr::Chain(Box::new(first), rest, self.since(start)))
    }

    /// A term, or an id that takes the qualifiers before it.
    fn item(&mut self) -> Option<Expr> {
        let (start, mut negative) = (self.at, false);
        while self.peek(0)?.kind == Kind::Not {
            self.at += 1;
            negative = !negative;
        }
        let bare = self.at;
        self.entry = None;
        let e = if self.relation() {
            self.qual = None;
            Expr::Leaf { what: Leaf::Unknown, shifts: self.shifts.len(), exact: false, at: 0..0 }
        } else if self.sym(0, b'(') {
            self.brackets()?
        } else if let Some(head) = self.head() {
            head?
        } else {
            let qual = self.qual?;
            let e = self.id(qual)?;
            self.entry = self.entry.take().map(Entry::bare);
            e
        };
        let e = e.standing(self.since(bare));
        if start != bare {
            self.entry = None;
        }
        Some(if negative { Expr::Not(Box::new(e), self.since(start)) } else { e })
    }

    /// `( ... )`: what follows takes the qualifiers from before the bracket.
    fn brackets(&mut self) -> Option<Expr> {
        self.take_sym(b'(')?;
        self.depth += 1;
        if self.depth > FILTER_DEPTH_MAX {
            return None;
        }
        let qual = self.qual;
        let e = self.chain()?;
        self.take_sym(b')')?;
        self.qual = qual;
        self.depth -= 1;
        Some(e)
    }

    /// An address, number or name; or several in brackets, each with the same qualifiers.
    fn id(&mut self, qual: Qual<'t>) -> Option<Expr> {
        self.qual = Some(qual);
        if self.sym(0, b'(') {
            let outside = std::mem::replace(&mut self.of_head, true);
            let e = self.brackets();
            self.of_head = outside;
            return e;
        }
        if self.peek(0)?.kind == Kind::Not {
            // `host not host not ...` goes no deeper than brackets do.
            self.depth += 1;
            let e = if self.depth > FILTER_DEPTH_MAX { None } else { self.item() };
            self.depth -= 1;
            return e;
        }
        let t = self.next()?;
        let mut exact = qual.end == End::Either && !matches!(qual.proto, Some("arp" | "rarp"));
        let what = match qual.addr {
            Addr::Host | Addr::Net => {
                let mut mask = None;
                if self.sym(0, b'/') || self.word(0) == "mask" {
                    self.at += 1;
                    mask = Some(self.next()?);
                    // A dotted mask may have holes.
                    exact &= mask.is_none_or(|m| matches!(m.kind, Kind::Num(_)));
                }
                self.entry = Entry::address(qual, t, mask);
                address(qual, t, mask)?
            }
            Addr::Port => {
                self.entry = Entry::port(qual, t);
                port(qual, t)?
            }
            Addr::Proto => proto(qual, t)?,
            Addr::ProtoChain => Leaf::Unknown,
        };
        Some(Expr::Leaf { what, shifts: self.shifts.len(), exact, at: 0..0 })
    }

    /// A primitive that begins with a keyword. Outer `None`: it doesn't; inner: it does, and is not understood.
    fn head(&mut self) -> Option<Option<Expr>> {
        let t = self.peek(0).filter(|t| t.kind == Kind::Word)?;
        let start = self.at;
        let pname = if is_proto(t.text) {
            self.at += 1;
            Some(t.text)
        } else {
            None
        };
        if let Some(qual) = self.qualifiers(pname) {
            return Some(self.id(qual));
        }
        self.qual = None;
        if let Some(p) = pname {
            let what = match self.word(0) {
                "broadcast" | "multicast" => {
                    self.at += 1;
                    Leaf::Unknown
                }
                "type" | "subtype" | "dir" | "direction" => {
                    self.wlan();
                    Leaf::Unknown
                }
                _ => bare(p),
            };
            return Some(Some(Expr::Leaf { what, shifts: self.shifts.len(), exact: true, at: 0..0 }));
        }
        self.at = start;
        self.other()
    }

    /// What stands between a protocol and an id: direction and kind of address. `None`: nothing, so it was no head.
    fn qualifiers(&mut self, proto: Option<&'t str>) -> Option<Qual<'t>> {
        let mut end = End::Other;
        match (self.word(0), self.peek(1).map(|t| t.kind), self.word(2)) {
            ("src", Some(Kind::And | Kind::Or), "dst") | ("dst", Some(Kind::And | Kind::Or), "src") => self.at += 3,
            (word @ ("src" | "dst" | "ra" | "ta"), ..) => {
                self.at += 1;
                match word {
                    "src" => end = End::Source,
                    "dst" => end = End::Destination,
                    _ => {}
                }
            }
            (w, ..) if matches!(w.strip_prefix("addr").or(w.strip_prefix("address")), Some("1" | "2" | "3" | "4")) => {
                self.at += 1
            }
            _ => end = End::Either,
        }
        let addr = match self.word(0) {
            "host" => Addr::Host,
            "net" => Addr::Net,
            "port" | "portrange" => Addr::Port,
            "proto" if end == End::Either => Addr::Proto,
            "protochain" if end == End::Either => Addr::ProtoChain,
            _ if end != End::Either => return Some(Qual { proto, addr: Addr::Host, end }),
            _ => return None,
        };
        self.at += 1;
        Some(Qual { proto, addr, end })
    }

    /// `type`, `subtype` and `dir` of 802.11.
    fn wlan(&mut self) {
        while matches!(self.word(0), "type" | "subtype" | "dir" | "direction") {
            self.at += 2;
        }
    }

    /// Primitives with a keyword of their own.
    fn other(&mut self) -> Option<Option<Expr>> {
        let shifts = self.shifts.len();
        let unknown = Some(Expr::Leaf { what: Leaf::Unknown, shifts, exact: false, at: 0..0 });
        let word = self.word(0);
        self.at += 1;
        let shift = match word {
            "vlan" => Shift::Vlan,
            "mpls" => Shift::Mpls,
            "pppoes" => Shift::Pppoes,
            "geneve" => Shift::Geneve,
            "less" | "greater" | "ifindex" | "rnr" | "rulenum" | "srnr" | "subrulenum" => {
                return Some(self.num().and(unknown));
            }
            "on" | "ifname" | "rset" | "ruleset" | "reason" | "action" => return Some(self.next().and(unknown)),
            "byte" => {
                self.at += 3;
                return Some(unknown);
            }
            "broadcast" | "multicast" | "inbound" | "outbound" => return Some(unknown),
            "pppoed" => return Some(Some(Expr::Leaf { what: bare(word), shifts, exact: true, at: 0..0 })),
            "llc" => {
                if self.peek(0).is_some_and(|t| matches!(t.kind, Kind::Word | Kind::Escaped)) {
                    self.at += 1;
                }
                return Some(unknown);
            }
            "type" | "subtype" | "dir" | "direction" => {
                self.at -= 1;
                self.wlan();
                return Some(unknown);
            }
            _ => {
                self.at -= 1;
                return None;
            }
        };
        let id = self.pnum();
        let exact = shift == Shift::Vlan && id != Some(None);
        let terms = match id {
            // A number with a name: legal, and of unknown value.
            Some(None) => vec![],
            Some(id) => shifted(shift, id),
            None => shifted(shift, None),
        };
        // libpcap 1.10 forgets to leave the Geneve header when it steps over a tag, and the label stack when it enters
        // Geneve: what it reads from there on is not what the packet holds there.
        let sound = match shift {
            Shift::Vlan => !self.shifts.contains(&Shift::Geneve),
            Shift::Geneve => !self.shifts.contains(&Shift::Mpls),
            Shift::Mpls | Shift::Pppoes => true,
        };
        self.shifts.push(shift);
        Some(Some(Expr::Leaf { what: Leaf::Shift { terms, sound }, shifts, exact, at: 0..0 }))
    }

    /// A number, in brackets or not; nothing is consumed if there is none.
    fn pnum(&mut self) -> Option<Option<u32>> {
        let start = self.at;
        let open = self.tokens.iter().skip(start).take_while(|t| t.kind == Kind::Sym(b'(')).count();
        self.at += open;
        let n = self.num().filter(|_| {
            let closed = (0..open).all(|i| self.sym(i, b')'));
            // `vlan 5 > len` would be a relation that libpcap does not accept either.
            self.at += open;
            closed
        });
        if n.is_none() {
            self.at = start;
        }
        n
    }

    /// Consumes `arith relop arith` if one stands here.
    fn relation(&mut self) -> bool {
        let start = self.at;
        let whole = (|| {
            self.arith()?;
            match self.next()?.kind {
                Kind::Sym(b'<' | b'>' | b'=' | b'G' | b'L' | b'N') => self.arith(),
                _ => None,
            }
        })();
        if whole.is_none() {
            self.at = start;
        }
        whole.is_some()
    }

    /// An arithmetic expression; only its extent matters.
    fn arith(&mut self) -> Option<()> {
        self.depth += 1;
        let r = if self.depth > FILTER_DEPTH_MAX { None } else { self.operands() };
        self.depth -= 1;
        r
    }

    fn operands(&mut self) -> Option<()> {
        loop {
            while self.sym(0, b'-') {
                self.at += 1;
            }
            let t = self.next()?;
            match t.kind {
                Kind::Num(_) | Kind::NamedNum => {}
                Kind::Sym(b'(') => {
                    self.arith()?;
                    self.take_sym(b')')?;
                }
                Kind::Word if matches!(t.text, "len" | "length") => {}
                Kind::Word if is_proto(t.text) => {
                    self.take_sym(b'[')?;
                    self.arith()?;
                    if self.take_sym(b':').is_some() {
                        self.num()?;
                    }
                    self.take_sym(b']')?;
                }
                _ => return None,
            }
            match self.peek(0).map(|t| t.kind) {
                Some(Kind::Sym(b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'S')) => {}
                _ => return Some(()),
            }
            self.at += 1;
        }
    }
}

/// `pname` of the grammar.
fn is_proto(word: &str) -> bool {
    const NAMES: &[&str] = &[
        "link", "ether", "ppp", "slip", "fddi", "tr", "wlan", "ip", "arp", "rarp", "sctp", "tcp", "udp", "icmp",
        "igmp", "igrp", "pim", "vrrp", "carp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "ip6",
        "icmp6", "ah", "esp", "iso", "esis", "es-is", "isis", "is-is", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp",
        "clnp", "stp", "ipx", "netbeui", "radio",
    ];
    NAMES.contains(&word)
}
