//! Messages of Zeek's WebSocket API, version 1: JSON in Broker's representation of values, where an event is
//! `[count 1, count 1, [name, [arguments], [metadata]]]`. Owns that representation; a message is at most as long as the socket lets through.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "@data-type", content = "data", rename_all = "kebab-case")]
pub enum Data {
    /// An unset optional field.
    None(serde_json::Map<String, serde_json::Value>),
    /// bool.
    Boolean(bool),
    /// count.
    Count(u64),
    /// int.
    Integer(i64),
    /// double.
    Real(f64),
    /// interval: a number and ns, ms, s, min, h or d.
    Timespan(String),
    /// time: ISO 8601 in UTC without a zone.
    Timestamp(String),
    /// string.
    String(String),
    /// enum.
    EnumValue(String),
    /// addr.
    Address(IpAddr),
    /// subnet.
    Subnet(String),
    /// port: a number, a slash and tcp, udp, icmp or ?.
    Port(String),
    /// vector, and a record's fields.
    Vector(Vec<Data>),
    /// set.
    Set(Vec<Data>),
    /// table: pairs of key and value.
    Table(Vec<Pair>),
}

/// An entry of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    key: Data,
    value: Data,
}

/// What comes.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// The subscription is in force.
    Ack {
        /// Zeek's version.
        version: String,
    },
    /// Something of ours was refused.
    Error {
        /// Of Broker's error codes.
        code: String,
        /// More.
        context: String,
    },
    /// An event.
    Event {
        /// Where it was published.
        topic: String,
        /// `Retrotap::notice`.
        name: String,
        /// In their order.
        args: Vec<Data>,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Outer {
    Ack {
        #[serde(default)]
        version: String,
    },
    Error {
        code: String,
        #[serde(default)]
        context: String,
    },
    DataMessage {
        topic: String,
        #[serde(flatten)]
        data: Data,
    },
}

#[derive(Serialize)]
struct Sent<'a> {
    r#type: &'a str,
    topic: &'a str,
    #[serde(flatten)]
    data: Data,
}

/// Reads a message; the error is what is wrong with it.
pub fn read(text: &str) -> Result<Message, String> {
    let outer = serde_json::from_str(text).map_err(|e| format!("no message of Zeek's API: {e}"))?;
    match outer {
        Outer::Ack { version } => Ok(Message::Ack { version }),
        Outer::Error { code, context } => Ok(Message::Error { code, context }),
        Outer::DataMessage { topic, data } => {
            let (name, args) = event(data).ok_or("a data message that is no event")?;
            Ok(Message::Event { topic, name, args })
        }
    }
}

/// Name and arguments of an event of format 1.
fn event(data: Data) -> Option<(String, Vec<Data>)> {
    let Data::Vector(outer) = data else { return None };
    let [Data::Count(1), Data::Count(1), Data::Vector(event)] = <[Data; 3]>::try_from(outer).ok()? else { return None };
    let mut event = event.into_iter();
    match (event.next(), event.next()) {
        (Some(Data::String(name)), Some(Data::Vector(args))) => Some((name, args)),
        _ => None,
    }
}

/// An event as it is sent.
pub fn write(topic: &str, name: &str, args: Vec<Data>) -> String {
    let event = Data::Vector(vec![Data::String(name.into()), Data::Vector(args), Data::Vector(Vec::new())]);
    let data = Data::Vector(vec![Data::Count(1), Data::Count(1), event]);
    serde_json::to_string(&Sent { r#type: "data-message", topic, data }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As they stand in Zeek's documentation (advanced/devel/websocket-api.rst) and Broker's (web-socket.rst).
    const RECORDED: [&str; 4] = [
        r#"{"type":"ack","endpoint":"d955d990-ad8a-5ed4-8bc5-bee252d4a2e6-websocket-0","version":"8.0.0-dev.684"}"#,
        r#"{"type":"data-message","topic":"zeek.test","@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":1},{"@data-type":"vector","data":[{"@data-type":"string","data":"hello"},{"@data-type":"vector","data":[{"@data-type":"count","data":3}]},{"@data-type":"vector","data":[]}]}]}"#,
        r#"{"type":"error","code":"deserialization_failed","context":"input #1 contained malformed JSON -> caf::pec::unexpected_character(1, 1)"}"#,
        r#"{"type":"data-message","topic":"/foo/bar","@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":1},{"@data-type":"vector","data":[{"@data-type":"string","data":"event_1"},{"@data-type":"vector","data":[{"@data-type":"integer","data":42},{"@data-type":"string","data":"test"}]},{"@data-type":"vector","data":[{"@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"timestamp","data":"2023-04-18T14:13:14.000"}]}]}]}]}"#,
    ];

    #[test]
    fn recorded_messages_are_understood_and_an_event_is_written_alike() {
        let [ack, hello, error, meta] = RECORDED.map(|m| read(m).unwrap());
        assert_eq!(ack, Message::Ack { version: "8.0.0-dev.684".into() });
        assert!(matches!(error, Message::Error { code, .. } if code == "deserialization_failed"));
        let args = vec![Data::Count(3)];
        assert_eq!(hello, Message::Event { topic: "zeek.test".into(), name: "hello".into(), args: args.clone() });
        let (a, b): (serde_json::Value, serde_json::Value) = (
            serde_json::from_str(&write("zeek.test", "hello", args)).unwrap(),
            serde_json::from_str(RECORDED[1]).unwrap(),
        );
        assert_eq!(a, b);
        let args = vec![Data::Integer(42), Data::String("test".into())];
        assert_eq!(meta, Message::Event { topic: "/foo/bar".into(), name: "event_1".into(), args });
    }

    #[test]
    fn every_type_of_the_documentation_comes_back_as_it_was() {
        for text in [
            r#"{"@data-type":"none","data":{}}"#,
            r#"{"@data-type":"boolean","data":true}"#,
            r#"{"@data-type":"integer","data":-7}"#,
            r#"{"@data-type":"real","data":-7.5}"#,
            r#"{"@data-type":"timespan","data":"1500ms"}"#,
            r#"{"@data-type":"timestamp","data":"2022-04-10T07:00:00.000"}"#,
            r#"{"@data-type":"enum-value","data":"foo"}"#,
            r#"{"@data-type":"address","data":"2001:db8::"}"#,
            r#"{"@data-type":"subnet","data":"255.255.255.0/24"}"#,
            r#"{"@data-type":"port","data":"8080/tcp"}"#,
            r#"{"@data-type":"set","data":[{"@data-type":"string","data":"foo"},{"@data-type":"string","data":"bar"}]}"#,
            r#"{"@data-type":"table","data":[{"key":{"@data-type":"string","data":"k"},"value":{"@data-type":"count","data":1}}]}"#,
        ] {
            let data: Data = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&data).unwrap(), text);
        }
    }

    #[test]
    fn nonsense_is_an_error() {
        let deep = format!(
            "{}{}",
            r#"{"type":"data-message","topic":"t","@data-type":"vector","data":["#,
            r#"{"@data-type":"vector","data":["#.repeat(2000)
        );
        for text in [
            "",
            "How is it going?",
            "[]",
            "{}",
            r#"{"type":"x"}"#,
            r#"{"type":"data-message","topic":"t"}"#,
            &deep,
            r#"{"type":"data-message","topic":"t","@data-type":"count","data":1}"#,
            r#"{"type":"data-message","topic":"t","@data-type":"vector","data":[{"@data-type":"count","data":2},{"@data-type":"count","data":1},{"@data-type":"vector","data":[]}]}"#,
            r#"{"type":"data-message","topic":"t","@data-type":"vector","data":[{"@data-type":"count","data":1.5}]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_message_panics(which in 0usize..4, at in 0usize..1000, with in any::<char>()) {
            let text: String = RECORDED[which].chars().enumerate().map(|(i, c)| if i == at { with } else { c }).collect();
            let _ = read(&text);
            let _ = read(&text.chars().take(at).collect::<String>());
        }
    }
}
