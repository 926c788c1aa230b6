//! Zeek's conn.log as `plan --zeek` reads it: any bytes. No more connections than lines; no point of the curve keeps more than there was.

use crate::scratch;
use retrotap::planning::{CUTOFFS, zeek};

/// Input: the file.
pub fn run(data: &[u8]) {
    let path = scratch::file("conn.log", data);
    let Ok(curve) = zeek::curve(&[path], &CUTOFFS) else { return };
    let lines = data.split(|b| *b == b'\n').count() as u64;
    assert!(curve.connections.saturating_add(curve.left_out) <= lines, "{curve:?} of {lines} lines");
    for p in &curve.points {
        assert!(
            p.whole <= curve.connections && p.packets <= curve.packets && p.bytes <= curve.bytes,
            "{p:?} of {curve:?}"
        );
    }
    assert!(curve.seconds().is_finite());
}

/// One of each form.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let columns = "#separator \\x09\n#fields\tts\tuid\tduration\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n";
    add(format!("{columns}1700000000.5\tC1\t3.25\t10\t5000\t8\t90000\n1700000001.5\tC2\t-\t1\t60\t0\t0\n").into_bytes());
    add(br#"{"ts":1700000000.5,"uid":"C1","duration":3.25,"orig_pkts":10,"orig_ip_bytes":5000,"resp_pkts":8,"resp_ip_bytes":90000}
{"ts":"2023-11-14T22:13:20.5Z","uid":"C2","orig_pkts":1,"orig_ip_bytes":60,"resp_pkts":0,"resp_ip_bytes":0}
"#.to_vec());
}
