//! One line of Suricata's EVE JSON as an alert. Owns what of a record is read; a line of another kind costs a look.

use super::alert::{Alert, conn};
use crate::units;
use serde::Deserialize;
use std::net::IpAddr;

/// What a line is.
#[derive(Debug)]
pub enum Eve {
    /// An alert.
    Alert(Box<Alert>),
    /// Another record: flow, stats, http.
    Other,
}

#[derive(Deserialize)]
struct Kind<'a> {
    event_type: std::borrow::Cow<'a, str>,
}

/// The fields of an alert that are read.
#[derive(Deserialize)]
struct Record {
    timestamp: Option<String>,
    flow_id: Option<u64>,
    src_ip: Option<IpAddr>,
    src_port: Option<u16>,
    dest_ip: Option<IpAddr>,
    dest_port: Option<u16>,
    proto: Option<String>,
    community_id: Option<String>,
    alert: Option<Signature>,
    flow: Option<Flow>,
}

#[derive(Deserialize)]
struct Signature {
    gid: Option<u64>,
    signature_id: Option<u64>,
    signature: Option<String>,
    category: Option<String>,
    severity: Option<u64>,
    source: Option<End>,
}

#[derive(Deserialize)]
struct End {
    ip: Option<IpAddr>,
}

#[derive(Deserialize)]
struct Flow {
    start: Option<String>,
}

/// Reads a line; the error is what is wrong with it.
pub fn read(line: &[u8]) -> Result<Eve, String> {
    let kind: Kind<'_> = serde_json::from_slice(line).map_err(|e| format!("no EVE record: {e}"))?;
    if kind.event_type != "alert" {
        return Ok(Eve::Other);
    }
    let record: Record = serde_json::from_slice(line).map_err(|e| format!("an alert that is not one of EVE: {e}"))?;
    let Some(alert) = record.alert else { return Err("an alert without its field alert".into()) };
    let time = record.timestamp.as_deref().ok_or("an alert without timestamp")?;
    let time = units::parse_time(time, 0).map_err(|e| format!("an alert whose timestamp is none: {e}"))?;
    let conn = record
        .proto
        .as_deref()
        .and_then(|proto| conn(proto, record.src_ip, record.src_port, record.dest_ip, record.dest_port));
    Ok(Eve::Alert(Box::new(Alert {
        time,
        began: record.flow.and_then(|f| units::parse_time(&f.start?, 0).ok()),
        conn,
        community: record.community_id.and_then(|id| id.parse().ok()),
        source: record.src_ip,
        destination: record.dest_ip,
        attacker: alert.source.and_then(|s| s.ip),
        sid: alert.signature_id,
        gid: alert.gid,
        severity: alert.severity,
        category: alert.category,
        signature: alert.signature,
        notice: None,
        flow: record.flow_id.map(|id| id.to_string()).unwrap_or_default(),
        request: None,
        record: serde_json::from_slice(line).map_err(|e| e.to_string())?,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Suricata 7.0.10 wrote it.
    const ALERT: &str = r#"{"timestamp":"2026-11-21T14:55:02.123456+0000","flow_id":1217342323,"in_iface":"tap0","event_type":"alert","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":80,"proto":"TCP","community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=","alert":{"action":"allowed","gid":1,"signature_id":9000001,"rev":1,"signature":"a test","category":"Misc","severity":3},"flow":{"pkts_toserver":3,"start":"2026-11-21T14:55:01.000000+0000"}}"#;

    #[test]
    fn an_alert_is_read_and_kept_as_it_came() {
        let Ok(Eve::Alert(a)) = read(ALERT.as_bytes()) else { panic!() };
        assert_eq!(units::time(a.time), "2026-11-21T14:55:02.123456Z");
        assert_eq!(a.time - a.began.unwrap(), 1_123_456_000);
        assert_eq!(a.conn.unwrap().to_string(), "tcp 10.0.0.1:40000 10.0.0.2:80");
        assert_eq!((a.sid, a.gid, a.severity), (Some(9_000_001), Some(1), Some(3)));
        assert_eq!(a.record["alert"]["signature"], "a test");
        assert!(a.community.is_some());
    }

    #[test]
    fn other_protocols_and_missing_parts() {
        for (from, to, conn) in [
            (r#""TCP""#, r#""IPv6-ICMP""#, Some("icmp6 10.0.0.1 10.0.0.2")),
            (r#""TCP""#, r#""047""#, Some("47 10.0.0.1 10.0.0.2")),
            (r#""TCP""#, r#""HOPOPT""#, None),
            (r#""src_port":40000,"#, "", None),
        ] {
            let Ok(Eve::Alert(a)) = read(ALERT.replace(from, to).as_bytes()) else { panic!("{to}") };
            assert_eq!(a.conn.map(|c| c.to_string()).as_deref(), conn, "{to}");
        }
        assert!(matches!(read(br#"{"event_type":"flow","flow_id":-1}"#), Ok(Eve::Other)));
        assert!(matches!(read(br#"{"event_type":"stats","stats":{}}"#), Ok(Eve::Other)));
        for bad in ["", "{", "[]", "null", r#"{"event_type":"alert"}"#, r#"{"event_type":"alert","alert":{}}"#] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(ALERT.replace("2026-11-21T", "soon").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_line_panics(at in 0usize..ALERT.len(), with in any::<u8>()) {
            let mut bytes = ALERT.as_bytes().to_vec();
            bytes[at] = with;
            let _ = read(&bytes);
            let _ = read(&bytes[..at]);
        }
    }
}
