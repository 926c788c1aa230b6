//! What an index does not list is found all the same: whatever libpcap matches is among the candidates, however small the bounds are, in an
//! index that was made of packets and in one that was merged.

use super::lang::plan::Plan;
use super::lang::tests::{Tree, text, trees};
use super::select::{Candidates, candidates};
use crate::filter::Filter;
use crate::index::bounds::Bounds;
use crate::index::tests::{crafted, frame, segment};
use crate::index::{Index, Scope, Skip};
use crate::store::SegmentReader;
use proptest::prelude::*;

fn bounds() -> impl Strategy<Value = Bounds> {
    (0usize..12, 0usize..6, 0usize..12, 0usize..60).prop_map(|(packet, crowded, connection, index)| Bounds {
        packet,
        crowded,
        connection,
        index,
    })
}

/// Frames of ordinary headers, and now and then one that is all labels.
fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let crafted =
        (0u32..9, 1usize..4, 60usize..300).prop_map(|(n, nested, len)| crafted(n, [10, 0, 0, 1], nested, len));
    prop::collection::vec(prop_oneof![7 => frame(), 1 => crafted], 1..40)
}

/// Packets that libpcap matches, and of these the offsets that are no candidates.
fn hidden(e: &str, filter: &Filter, index: &Index, segment: &SegmentReader) -> (usize, Vec<u64>) {
    let plan = Plan::of(e);
    let skip = Skip::of(index).unwrap();
    let may = plan.may(&mut |lo, hi| lo != hi || index.may_have(lo).unwrap() && skip.may_have(lo));
    let may = may && plan.may_join(&mut |a, b| skip.may_join(a, b));
    let found = candidates(&plan, index, (0, u64::MAX), None).unwrap();
    let found = |offset: &u64| match &found {
        Candidates::All => may,
        Candidates::At(offsets) => may && offsets.binary_search(offset).is_ok(),
    };
    let mut matched = Vec::new();
    for at in segment.blocks() {
        for p in segment.block(at).unwrap().found() {
            let p = p.unwrap();
            if filter.matches(&p.data, p.wire_len) {
                matched.push(p.offset);
            }
        }
    }
    let n = matched.len();
    matched.retain(|offset| !found(offset));
    (n, matched)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_libpcap_matches_is_never_hidden(
        frames in frames(), trees in prop::collection::vec((trees(), any::<prop::sample::Index>()), 12), bounds in bounds(), each in 1usize..15,
    ) {
        let blocks: Vec<Vec<Vec<u8>>> = frames.chunks(each).map(<[_]>::to_vec).collect();
        let whole = segment(1, &blocks);
        let (made, _) = Index::bounded(&whole, Scope::Segment, bounds);
        made.check().unwrap();
        let parts: Vec<Index> = whole
            .blocks()
            .iter()
            .map(|b| Index::make_of(&whole, &|other| other.offset == b.offset).unwrap())
            .collect();
        let parts: Vec<&Index> = parts.iter().collect();
        let merged = Index::merged(&parts, Scope::Segment, bounds);
        merged.check().unwrap();
        let ask = |(tree, of): &(Tree, prop::sample::Index)| {
            let frame: &Vec<u8> = of.get(&frames);
            text(tree, frame)
        };
        for e in trees.iter().map(ask) {
            let Ok(filter) = Filter::compile(&e, 1) else { continue };
            for index in [&made, &merged] {
                let (_, hidden) = hidden(&e, &filter, index, &whole);
                prop_assert!(hidden.is_empty(), "{}: {:?} with {:?}", e, hidden, bounds);
            }
        }
    }
}

/// The same of packets that the bounds of the product are for, which libpcap does match, and whose neighbours it still tells apart.
#[test]
fn a_packet_that_is_all_labels_is_found_by_each() {
    let dense: Vec<Vec<u8>> = (0..3).map(|n| crafted(n, [10, 0, 0, 9], 3, 9000)).collect();
    let plain: Vec<Vec<u8>> = (0..50u8).map(|n| crafted(1, [192, 0, 2, n], 1, 60)).collect();
    let whole = segment(1, &[dense, plain]);
    let (index, _) = Index::bounded(&whole, Scope::Segment, Bounds::default());
    for (e, matches) in [
        ("geneve and geneve and host 10.0.0.9", 3),
        ("host 10.0.0.9 and udp port 6081", 3),
        ("host 192.0.2.7", 1),
        ("host 192.0.2.77", 0),
    ] {
        let filter = Filter::compile(e, 1).unwrap();
        assert_eq!(hidden(e, &filter, &index, &whole), (matches, vec![]), "{e}");
    }
    let of = |e: &str| match candidates(&Plan::of(e), &index, (0, u64::MAX), None).unwrap() {
        Candidates::At(offsets) => offsets.len(),
        Candidates::All => usize::MAX,
    };
    assert_eq!(of("host 192.0.2.7"), 1, "labels that are not listed take nothing from addresses");
    assert!((3..10).contains(&of("mpls 77777")), "their connection is asked: {}", of("mpls 77777"));
}
