//! How much work an index is, in steps and terms looked at, whatever its packets are: twice as many packets are twice the work.

use super::bounds::Bounds;
use super::tests::{crafted, segment};
use super::{Index, Scope};

/// Frames in blocks of half a MiB at most.
fn made(frames: Vec<Vec<u8>>, bounds: Bounds) -> (Index, u64) {
    let each = (512 << 10) / frames.iter().map(Vec::len).max().unwrap_or(1);
    let blocks: Vec<Vec<Vec<u8>>> = frames.chunks(each.max(1)).map(<[_]>::to_vec).collect();
    Index::bounded(&segment(1, &blocks), Scope::Segment, bounds)
}

const HOST: [u8; 4] = [10, 0, 0, 9];

/// What the review found: 600 packets of 0.9 MB in all, headers within headers and then labels, of one connection. They were 51 s of work, and 300 a
/// quarter of it.
#[test]
fn crafted_packets_are_work_in_proportion_to_their_bytes() {
    for nested in [1, 8, 30] {
        let work = |packets: u32| {
            let frames: Vec<Vec<u8>> = (0..packets).map(|n| crafted(n, HOST, nested, 1500)).collect();
            let bytes: usize = frames.iter().map(Vec::len).sum();
            let (index, work) = made(frames, Bounds::default());
            assert_eq!((index.about().packets, index.about().connections), (packets.into(), 1), "{nested}");
            assert!(work < bytes as u64 * 2, "{work} steps for {bytes} bytes, {nested} headers within each other");
            work
        };
        let (one, two) = (work(300), work(600));
        // The first packets are looked up among a handful, which is a little more.
        assert!(two <= 2 * one && two > 2 * one - 2000, "{one}, and twice as many {two}");
    }
}

/// The same where each packet is a connection of its own, and where a connection has all types and codes of ICMP.
#[test]
fn many_connections_and_many_kinds_are_no_more_work_each() {
    let work = |packets: u32| {
        let frames = (0..packets).map(|n| crafted(n, n.to_be_bytes(), 4, 600)).collect();
        let (index, work) = made(frames, Bounds::default());
        assert_eq!(index.about().connections, packets);
        work
    };
    let (one, two) = (work(500), work(1000));
    // Now and then a frame has a label twice.
    assert!(two.abs_diff(2 * one) < one / 50, "{one}, and twice as many {two}");

    let icmp = |n: u32| {
        let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0, 0];
        f.extend([10, 0, 0, 1, 10, 0, 0, 2, (n >> 8) as u8 | 0x80, n as u8, 0, 0, 0, 7, 0, 1, 0, 0]);
        f
    };
    let (index, _) = made((0..20_000).map(icmp).collect(), Bounds::default());
    let mut kinds = 0;
    index.each_conn(0, &mut |_, c| kinds += c.icmp.len()).unwrap();
    assert_eq!(kinds, 20_000, "each once");
}

/// Frames as networks carry them lose nothing to the bounds; longer ones that are all labels do, and only of that kind.
#[test]
fn what_is_not_listed_is_told_by_kind() {
    let (index, _) = made((0..400).map(|n| crafted(n, HOST, 30, 1514)).collect(), Bounds::default());
    assert_eq!(index.about().version, super::file::VERSION);
    let (index, _) = made((0..4).map(|n| crafted(n, HOST, 2, 9000)).collect(), Bounds::default());
    assert_eq!(index.about().version, super::file::NEWEST);
    let unlisted: Vec<usize> = (0..super::term::KINDS).filter(|k| !index.unlisted(*k).unwrap().is_empty()).collect();
    assert_eq!(unlisted, [super::term::Term::Mpls(0).kind()]);
    assert!(index.may_have(super::term::Term::Addr4(0x0a01_0001)).unwrap());
    assert!(!index.may_have(super::term::Term::Addr4(0x0102_0304)).unwrap(), "addresses are listed");
    index.check().unwrap();
}

/// A connection of very many values, and an index of very many: what is beyond is not listed, and memory is bounded.
#[test]
fn a_connection_and_an_index_list_so_much_at_most() {
    let small = Bounds { packet: 1000, crowded: 8, connection: 2000, index: 6000 };
    let (index, _) = made((0..40).map(|n| crafted(n, HOST, 1, 1500)).collect(), small);
    let listed = |index: &Index| {
        let mut all = 0;
        index
            .each_term(&mut |_, ids| {
                all += ids.len();
                Ok(())
            })
            .unwrap();
        all
    };
    assert!(listed(&index) < 2000, "that of one connection: {}", listed(&index));
    let (index, _) = made((0..400u32).map(|n| crafted(n, n.to_be_bytes(), 1, 1500)).collect(), small);
    // Full after some 17 connections; of all others what ordinary packets have.
    assert!(listed(&index) < 6000 + 400 * 12, "that of all: {}", listed(&index));
    let labels = super::term::Term::Mpls(0).kind();
    assert!((300..400).contains(&index.unlisted(labels).unwrap().len()));
    for kind in (0..super::term::KINDS).filter(|k| *k != labels) {
        assert!(index.unlisted(kind).unwrap().is_empty(), "kind {kind}: ordinary values are listed in a full index");
    }
}
