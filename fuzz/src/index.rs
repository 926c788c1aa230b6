//! Indexes of segments: any bytes, sums right or not. A list has as many connections as its weight says, none that there is not; what it says of one
//! address and of all terms goes together; no look-up takes memory that the file does not account for.

use crate::{scratch, sums};
use retrotap::index::term::Term;
use retrotap::index::{Index, Skip};

/// Terms that are looked for.
fn terms() -> Vec<Term> {
    let [a, b] = [[10, 0, 0, 1], [192, 168, 0, 1]].map(u32::from_be_bytes);
    vec![
        Term::Addr4(a),
        Term::Addr4(b),
        Term::Addr4(0),
        Term::Addr4(u32::MAX),
        Term::Addr6(0x2001_0db8_0000_0000_0000_0000_0000_0001),
        Term::Addr6(u128::MAX),
        Term::Port(80),
        Term::Port(0),
        Term::Port(u16::MAX),
        Term::Proto(6),
        Term::Proto(17),
        Term::EtherType(0x0800),
        Term::Vlan(5),
        Term::Mpls(1),
    ]
}

/// Input: whether sums are put right; the index.
pub fn run(data: &[u8]) {
    let (how, bytes) = crate::options(data);
    let mut bytes = bytes.to_vec();
    if how & 1 != 0 {
        sums::index(&mut bytes);
    }
    let Ok(index) = Index::open(&scratch::file("index.idx", &bytes)) else { return };
    let of = index.about().connections;
    let _ = index.check();
    let _ = index.blocks();
    let mut found = Vec::new();
    let _ = index.community("1:LQU9qZlK+B5F3KDmev6m5PMibrg=", &mut found);
    assert!(found.iter().all(|id| *id < of));
    for term in terms() {
        let mut ids = Vec::new();
        let listed = index.list([(term, term)].into_iter(), &mut ids);
        if let (Ok(()), Ok(weight)) = (listed, index.weight(term, term)) {
            assert_eq!(ids.len(), weight, "{term}");
        }
        if index.list([(term, term)].into_iter(), &mut ids).is_ok() {
            assert!(ids.iter().all(|id| *id < of), "{term}: a connection that there is not");
        }
        ids.sort_unstable();
        ids.dedup();
        let mut given = 0;
        if index.conns(&ids, &mut |_| given += 1).is_ok() {
            assert_eq!(given, ids.len());
        }
    }
    let mut all = Vec::new();
    let _ = index
        .list([(Term::Addr4(0), Term::Addr4(u32::MAX)), (Term::Port(0), Term::Port(u16::MAX))].into_iter(), &mut all);
    let _ = index.each_conn(0, &mut |_, c| drop(c));
    if let Ok(skip) = Skip::of(&index) {
        asked(&skip);
    }
}

/// Asks what is known of a segment about everything.
pub fn asked(skip: &Skip) {
    for a in terms() {
        let _ = skip.may_have(a);
        for b in terms() {
            let _ = skip.may_join(a, b);
        }
    }
    let _ = (skip.may_have_community("1:LQU9qZlK+B5F3KDmev6m5PMibrg="), skip.bytes());
}

/// Indexes of every version, and small ones.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for index in crate::made::golden("idx").into_iter().chain(made()) {
        add([&[1], &index[..]].concat());
    }
}

/// The indexes of the small segments.
pub fn made() -> Vec<Vec<u8>> {
    let of = |segment: Vec<u8>| {
        let path = scratch::file("seed-segment/20231114T221320.000000000Z-0-1.pcapng", &segment);
        retrotap::index::build(&path).expect("an index");
        std::fs::read(path.with_extension("idx")).expect("the index")
    };
    crate::made::segments().into_iter().map(of).collect()
}
