//! The events of the Zeek package as alerts. Owns their names and the order of their arguments, which `integrations/zeek/scripts/main.zeek` declares.

use super::frame::Data;
use crate::nids::alert::{Alert, conn};
use crate::units;
use serde_json::json;
use std::net::IpAddr;

const NOTICE: &str = "Retrotap::notice";
const REQUEST: &str = "Retrotap::request";

/// The alert that an event is; `None`: another's event.
pub fn alert(name: &str, args: &[Data]) -> Result<Option<Alert>, String> {
    let wrong = |what: &str| format!("{name}: {what}: is the package as new as this program?");
    match (name, args) {
        (
            NOTICE,
            [
                Data::String(note),
                Data::String(message),
                Data::String(sub),
                ts,
                Data::String(uid),
                Data::Address(source),
                Data::Address(destination),
                Data::Boolean(has_conn),
                ends @ ..,
            ],
        ) => {
            let time = time(ts).ok_or_else(|| wrong("its fourth argument is no time"))?;
            let ends = ends4(ends).ok_or_else(|| wrong("its last four arguments are no connection"))?;
            let known = |a: &IpAddr| (!a.is_unspecified()).then_some(*a);
            Ok(Some(Alert {
                time,
                conn: has_conn.then(|| ends.conn()).flatten(),
                source: known(source).or(has_conn.then_some(ends.0)),
                destination: known(destination).or(has_conn.then_some(ends.2)),
                signature: Some([message.as_str(), sub.as_str()].join(" ").trim().to_owned()),
                notice: Some(note.clone()),
                flow: uid.clone(),
                record: json!({ "event": name, "args": args }),
                ..Alert::default()
            }))
        }
        (REQUEST, [Data::String(request), ts, began, Data::String(uid), Data::String(reason), ends @ ..]) => {
            let time = time(ts).ok_or_else(|| wrong("its second argument is no time"))?;
            let ends = ends4(ends).ok_or_else(|| wrong("its last four arguments are no connection"))?;
            Ok(Some(Alert {
                time,
                began: self::time(began).filter(|t| *t > 0),
                conn: ends.conn(),
                source: Some(ends.0),
                destination: Some(ends.2),
                signature: Some(reason.clone()),
                notice: Some(REQUEST.into()),
                flow: uid.clone(),
                request: Some(request.clone()),
                record: json!({ "event": name, "args": args }),
                ..Alert::default()
            }))
        }
        (NOTICE | REQUEST, _) => Err(wrong("its arguments are not those that are known")),
        _ => Ok(None),
    }
}

/// Originator and responder.
struct Ends<'a>(IpAddr, &'a str, IpAddr, &'a str);

fn ends4(args: &[Data]) -> Option<Ends<'_>> {
    match args {
        [Data::Address(a), Data::Port(ap), Data::Address(b), Data::Port(bp)] => Some(Ends(*a, ap, *b, bp)),
        _ => None,
    }
}

impl Ends<'_> {
    fn conn(&self) -> Option<crate::query::ConnSpec> {
        let port = |text: &str| -> Option<(u16, String)> {
            let (number, proto) = text.split_once('/')?;
            Some((number.parse().ok()?, proto.to_owned()))
        };
        let ((ap, proto), (bp, _)) = (port(self.1)?, port(self.3)?);
        let proto = if proto == "icmp" && self.0.is_ipv6() { "icmp6" } else { &proto };
        conn(proto, Some(self.0), Some(ap), Some(self.2), Some(bp))
    }
}

/// Unix ns; Zeek writes UTC without saying so.
fn time(data: &Data) -> Option<u64> {
    let Data::Timestamp(text) = data else { return None };
    units::parse_time(&format!("{}Z", text.trim_end_matches('Z')), 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(text: &str) -> Data {
        Data::String(text.into())
    }

    fn ends(a: &str, ap: &str, b: &str, bp: &str) -> [Data; 4] {
        let address = |t: &str| Data::Address(t.parse().unwrap());
        [address(a), Data::Port(ap.into()), address(b), Data::Port(bp.into())]
    }

    fn notice(has_conn: bool, source: &str, ends: [Data; 4]) -> Vec<Data> {
        let at = Data::Timestamp("2026-11-21T14:55:02.5".into());
        let (source, nobody) = (Data::Address(source.parse().unwrap()), Data::Address("::".parse().unwrap()));
        let mut args = vec![
            s("Scan::Port_Scan"),
            s("it scans"),
            s(""),
            at,
            s("CHhAvVGS1DHFjwGM9"),
            source,
            nobody,
            Data::Boolean(has_conn),
        ];
        args.extend(ends);
        args
    }

    #[test]
    fn notices_with_and_without_connection() {
        let a = alert(NOTICE, &notice(true, "::", ends("10.0.0.1", "5/tcp", "10.0.0.2", "80/tcp"))).unwrap().unwrap();
        assert_eq!(units::time(a.time), "2026-11-21T14:55:02.5Z");
        assert_eq!(a.conn.unwrap().to_string(), "tcp 10.0.0.1:5 10.0.0.2:80");
        assert_eq!((a.source, a.notice.as_deref()), ("10.0.0.1".parse().ok(), Some("Scan::Port_Scan")));
        assert_eq!(a.record["args"][0]["data"], "Scan::Port_Scan");
        let a = alert(NOTICE, &notice(false, "10.0.0.9", ends("::", "0/?", "::", "0/?"))).unwrap().unwrap();
        assert_eq!((a.conn, a.source, a.destination), (None, "10.0.0.9".parse().ok(), None));
        let a =
            alert(NOTICE, &notice(true, "::", ends("fe80::1", "128/icmp", "fe80::2", "129/icmp"))).unwrap().unwrap();
        assert_eq!(a.conn.unwrap().to_string(), "icmp6 fe80::1 fe80::2");
    }

    #[test]
    fn requests_and_what_is_neither() {
        let at = |t: &str| Data::Timestamp(t.into());
        let mut args = vec![s("r1"), at("2026-11-21T14:55:02.5"), at("1970-01-01T00:00:00.000"), s("C1"), s("because")];
        args.extend(ends("2001:db8::1", "5/udp", "2001:db8::2", "53/udp"));
        let a = alert(REQUEST, &args).unwrap().unwrap();
        assert_eq!((a.request.as_deref(), a.began), (Some("r1"), None));
        assert_eq!(a.conn.unwrap().to_string(), "udp [2001:db8::1]:5 [2001:db8::2]:53");
        assert!(alert("Other::event", &args).unwrap().is_none());
        for cut in 0..args.len() {
            assert!(alert(REQUEST, &args[..cut]).is_err());
        }
        args[1] = at("soon");
        assert!(alert(REQUEST, &args).is_err());
        assert!(alert(NOTICE, &args).is_err());
    }
}
