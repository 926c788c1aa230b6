//! Every capture, through the whole pipeline and back: after `record -r --cutoff none` the sealed segments, read by libpcap,
//! and `query` for everything return each packet that libpcap reads from the capture, byte for byte, lengths and
//! nanoseconds included.

mod common;

use common::{Retrotap, Seen, captures, libpcap, own, segments};
use std::path::Path;

/// What must come back from a capture, and whether libpcap reads all of it.
fn expected(path: &Path) -> (Vec<Seen>, bool) {
    let (tcpdump, refused) = libpcap(path);
    let all = own(path);
    match refused {
        None => {
            assert_eq!(all.len(), tcpdump.len(), "{}", path.display());
            (tcpdump, true)
        }
        Some(_) => (all, false),
    }
}

/// Compares, in time order; among packets of one time in the order of the file, if that is kept.
fn difference(mut got: Vec<Seen>, mut want: Vec<Seen>, ordered: bool) -> Option<String> {
    want.sort_by_key(|p| p.time);
    if !ordered {
        got.sort();
        want.sort();
    }
    if got == want {
        return None;
    }
    let at = got.iter().zip(&want).position(|(g, w)| g != w).unwrap_or(got.len().min(want.len()));
    Some(format!("{} of {} packets, first difference at {at}", got.len(), want.len()))
}

#[test]
fn every_capture_is_in_the_segments() {
    let mut failures = Vec::new();
    for path in captures("every_capture_is_in_the_segments") {
        let name = path.display();
        let r = Retrotap::default();
        let (ran, account) = r.record(&[&path], &["--cutoff", "none", "--segment-size", "4MiB"]);
        assert!(matches!(ran.code, Some(0 | 1)), "{name}: exit {:?}: {}", ran.code, ran.err);
        let (want, whole) = expected(&path);
        if whole {
            assert_eq!(
                (ran.code, &account["lost"]),
                (Some(0), &0.into()),
                "{name}: libpcap reads all of it; {}",
                ran.err
            );
        }
        assert_eq!(account["stored"]["packets"], want.len() as u64, "{name}: {}", ran.err);
        let mut got = Vec::new();
        for segment in segments(&r.store()) {
            let (packets, refused) = libpcap(&segment);
            assert_eq!(refused, None, "{name}: libpcap stops in {}", segment.display());
            got.extend(packets);
        }
        failures.extend(difference(got, want, false).map(|d| format!("{name}: {d}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
#[test]
fn every_capture_comes_back_from_a_query() {
    let mut failures = Vec::new();
    for path in captures("every_capture_comes_back_from_a_query") {
        let name = path.display();
        let r = Retrotap::default();
        r.record(&[&path], &["--cutoff", "none", "--segment-size", "4MiB"]);
        let back = r.dir().join("back.pcapng");
        let query = r.run(&["query", "-w", &back.to_string_lossy()]);
        assert_eq!(query.code, Some(0), "{name}: {}", query.err);
        let got = own(&back);
        assert!(got.is_sorted_by_key(|p| p.time), "{name}: not in time order");
        let (want, whole) = expected(&path);
        failures.extend(difference(got, want, whole).map(|d| format!("{name}: {d}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn several_files_and_a_second_start_go_into_one_store() {
    let captures = captures("several_files_and_a_second_start_go_into_one_store");
    let small: Vec<_> = captures.iter().filter(|p| p.to_string_lossy().contains("/medium/")).take(4).collect();
    let [a, b, c, ..] = small[..] else { return };
    let r = Retrotap::default();
    r.record(&[a, b], &["--cutoff", "none"]);
    r.record(&[c], &["--cutoff", "none"]);
    let back = r.dir().join("back.pcapng");
    let query = r.run(&["query", "-w", &back.to_string_lossy()]);
    assert_eq!(query.code, Some(0), "{}", query.err);
    let mut want: Vec<_> = [a, b, c].iter().flat_map(|p| own(p)).collect();
    let mut got = own(&back);
    want.sort();
    got.sort();
    assert!(got == want, "{} of {} packets", got.len(), want.len());
}
