//! Logs, scales and pictures of plans; exactness against a recorder is `tests/plan.rs`.

use super::sizes::{Size, Sizes};
use super::*;
use std::io::Write;

fn log(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

const TSV: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tduration\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n\
    1000.000000\tCa\t10.0\t10\t1000\t10\t19000\n1005.000000\tCb\t-\t1\t60\t0\t0\n1006.0\tCc\t1.0\t-\t-\t-\t-\n#close\t2026\n";
const JSON: &str = concat!(
    r#"{"ts":1000.0,"duration":10.0,"orig_pkts":10,"orig_ip_bytes":1000,"resp_pkts":10,"resp_ip_bytes":19000}"#,
    "\n",
    r#"{"ts":1005.0,"orig_pkts":1,"orig_ip_bytes":60,"resp_pkts":0,"resp_ip_bytes":0}"#,
    "\n",
    r#"{"ts":1006.0,"duration":1.0}"#,
    "\n"
);

#[test]
fn both_kinds_of_conn_log_give_the_same_curve() {
    let curves: Vec<Curve> =
        [TSV, JSON].iter().map(|t| zeek::curve(&[log(t).path().to_owned()], &[4096, 1 << 20]).unwrap()).collect();
    assert_eq!(curves[0], curves[1]);
    let c = &curves[0];
    // 20 frames of 14 bytes more each, and one.
    assert_eq!((c.connections, c.packets, c.bytes, c.left_out), (2, 21, 20_280 + 74, 1));
    assert_eq!((c.span_ns, c.exact), (10_000_000_000, false));
    let [small, large] = c.points[..] else { panic!("{c:?}") };
    assert_eq!((small.whole, large.whole), (1, 2));
    assert_eq!(large.bytes, c.bytes);
    // Half a mean packet past the cutoff, and the small one whole.
    assert_eq!(small.bytes, 4096 + 507 + 74);
    assert!(small.disk_bytes > small.bytes && small.disk_bytes < small.bytes * 11 / 10);
}

/// Zeek's `JSON::timestamps`: seconds, milliseconds, ISO 8601; what is left out says why.
#[test]
fn every_kind_of_time_in_json_is_read() {
    let counts = r#""duration":10.0,"orig_pkts":10,"orig_ip_bytes":1000,"resp_pkts":10,"resp_ip_bytes":19000"#;
    let of = |first: &str, second: &str| {
        let line = |ts: &str| format!("{{\"ts\":{ts},{counts}}}\n");
        zeek::curve(&[log(&(line(first) + &line(second))).path().to_owned()], &[4096]).unwrap()
    };
    let seconds = of("1700000000.25", "1700000100.25");
    assert_eq!((seconds.connections, seconds.left_out, seconds.span_ns), (2, 0, 110_000_000_000));
    for (first, second) in [
        ("1700000000250", "1700000100250"),
        (r#""2023-11-14T22:13:20.250000Z""#, r#""2023-11-14T22:15:00.250000Z""#),
        (r#""2023-11-14T23:13:20.250000+01:00""#, r#""2023-11-14T22:15:00.250000Z""#),
    ] {
        let c = of(first, second);
        assert_eq!((c.connections, c.left_out), (2, 0), "{first}");
        assert!(c.span_ns.abs_diff(seconds.span_ns) < 1000, "{first}: {}", c.span_ns);
    }
    let c = of(r#""yesterday""#, "1700000000");
    assert_eq!((c.connections, c.left_out_because.reasons()), (1, "1 without a time that can be read".into()));
    let c = zeek::curve(&[log(JSON).path().to_owned()], &[4096]).unwrap();
    assert_eq!(c.left_out_because.reasons(), "1 without counts of packets and bytes");
}

#[test]
fn what_is_no_conn_log_is_named_with_its_line() {
    for (text, what) in [
        ("hello\n", "line 1: neither JSON nor below"),
        ("#fields\tts\tuid\n", "line 1: it lacks orig_pkts"),
        ("{\"ts\": 1\n", "line 1: no JSON"),
    ] {
        let e = zeek::curve(&[log(text).path().to_owned()], &[1]).unwrap_err().to_string();
        assert!(e.contains(what), "{e}");
    }
    assert!(zeek::curve(&["/nonexistent".into()], &[1]).is_err());
}

#[test]
fn rate_and_disk_scale_as_they_should() {
    let mut sizes = Sizes::new(&[1000]);
    // 10 s at 8 kbit/s.
    sizes.add(Size { first: 0, last: 10_000_000_000, packets: 10, bytes: 10_000, aggregate: false });
    let curve = sizes.finish();
    let point = curve.points[0];
    assert_eq!(point.bytes, 1500);
    let twice = curve.scale(Some(16_000.0));
    assert!((twice - 2.0).abs() < 1e-9);
    let a_day = point.disk_a_day(&curve, twice);
    assert!((a_day - point.disk_bytes as f64 * 2.0 * 8640.0).abs() < 1.0);
    assert!((point.days_in(a_day as u64 * 3, &curve, twice).unwrap() - 3.0).abs() < 1e-3);
    assert_eq!(Point::default().days_in(1, &curve, 1.0), None);
}

#[test]
fn the_picture_is_svg_and_shows_three_lines() {
    let curve = zeek::curve(&[log(TSV).path().to_owned()], &CUTOFFS).unwrap();
    let svg = plot::svg(&curve).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for name in ["connections whole", "packets kept", "bytes kept", "estimate"] {
        assert!(svg.contains(name), "{name}");
    }
    assert!(svg.matches("<polyline").count() >= 3);
    // Nothing at all is drawn, too.
    plot::svg(&Curve::new(&[1], true)).unwrap();
}

/// Whoever writes a log writes what he likes: sums stay the largest number, and nothing else goes wrong.
#[test]
fn counts_that_no_sum_holds_are_the_largest_number() {
    let line = r#"{"ts":1.0,"duration":1.0,"orig_pkts":18446744073709551615,"orig_ip_bytes":18446744073709551615,"resp_pkts":1,"resp_ip_bytes":1}"#;
    let c = zeek::curve(&[log(&format!("{line}\n{line}\n")).path().to_owned()], &[4096]).unwrap();
    assert_eq!((c.connections, c.packets, c.bytes), (2, u64::MAX, u64::MAX));
    assert_eq!(c.points[0].whole, 0);
}
