//! Suricata's EVE records: any bytes, in any pieces. Pieces make no difference; a line is never longer than is taken; an alert is kept as it came, and
//! what is read of it are values of it.

use retrotap::limits::NIDS_LINE_MAX;
use retrotap::nids::eve::{Eve, read};
use retrotap::nids::lines::{Line, Lines};

/// Input: the length of pieces, the bytes.
pub fn run(data: &[u8]) {
    let (piece, bytes) = crate::options(data);
    let whole = lines(bytes, bytes.len().max(1));
    assert_eq!(lines(bytes, usize::from(piece).max(1)), whole, "pieces make no difference");
    for line in whole.iter().flatten() {
        assert!(line.len() <= NIDS_LINE_MAX && !line.contains(&b'\n'));
        match read(line) {
            Ok(Eve::Alert(alert)) => {
                let kept: serde_json::Value = serde_json::from_slice(line).expect("JSON");
                assert_eq!(alert.record, kept, "an alert is kept as it came");
                let _ = (alert.what(), alert.conn.map(|c| c.to_string()));
            }
            Ok(Eve::Other) => {}
            Err(why) => assert!(!why.is_empty()),
        }
    }
}

/// Lines; `None`: one that is too long.
fn lines(bytes: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        lines.push(piece, |line| {
            found.push(match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::TooLong => None,
            });
        });
    }
    found
}

/// Records as Suricata writes them.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let alert = r#"{"timestamp":"2026-11-21T14:55:02.123456+0000","flow_id":1217342323,"in_iface":"tap0","event_type":"alert","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":80,"proto":"TCP","community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=","alert":{"action":"allowed","gid":1,"signature_id":9000001,"rev":1,"signature":"a test","category":"Misc","severity":3,"source":{"ip":"10.0.0.1"}},"flow":{"pkts_toserver":3,"start":"2026-11-21T14:55:01.000000+0000"}}"#;
    add(format!("\x07{alert}\r\n{{\"event_type\":\"stats\",\"stats\":{{}}}}\n\n").into_bytes());
    add(format!("\x01{}\n", alert.replace("TCP", "IPv6-ICMP")).into_bytes());
}
