//! Messages of Zeek's WebSocket API: any text. An event that is read and written again is read the same; one of ours is an alert, or said to be none.

use retrotap::nids::zeek::event::alert;
use retrotap::nids::zeek::frame::{Message, read, write};

/// Input: the message.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match read(&text) {
        Ok(Message::Event { topic, name, args }) => {
            if let Ok(Some(a)) = alert(&name, &args) {
                let _ = (a.what(), a.conn.map(|c| c.to_string()));
            }
            let again = read(&write(&topic, &name, args.clone()));
            assert_eq!(again, Ok(Message::Event { topic, name, args }));
        }
        Ok(_) => {}
        Err(why) => assert!(!why.is_empty()),
    }
}

/// Messages as they stand in the documentation, and events of ours.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for text in [
        r#"{"type":"ack","endpoint":"d955d990-ad8a-5ed4-8bc5-bee252d4a2e6-websocket-0","version":"8.0.0-dev.684"}"#,
        r#"{"type":"error","code":"deserialization_failed","context":"input #1 contained malformed JSON"}"#,
        r#"{"type":"data-message","topic":"/foo/bar","@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":1},{"@data-type":"vector","data":[{"@data-type":"string","data":"event_1"},{"@data-type":"vector","data":[{"@data-type":"integer","data":42},{"@data-type":"table","data":[{"key":{"@data-type":"string","data":"k"},"value":{"@data-type":"real","data":7.5}}]},{"@data-type":"none","data":{}}]},{"@data-type":"vector","data":[]}]}]}"#,
    ] {
        add(text.as_bytes().to_vec());
    }
    let value = |kind: &str, data: &str| format!(r#"{{"@data-type":"{kind}","data":{data}}}"#);
    let ends = [
        value("address", "\"10.0.0.1\""),
        value("port", "\"5/tcp\""),
        value("address", "\"10.0.0.2\""),
        value("port", "\"80/tcp\""),
    ];
    let text = |s: &str| value("string", &format!("\"{s}\""));
    let at = value("timestamp", "\"2026-11-21T14:55:02.5\"");
    let notice = [
        [text("Scan::Port_Scan"), text("it scans"), text(""), at.clone(), text("CHhAvVGS1DHFjwGM9")].to_vec(),
        [value("address", "\"10.0.0.1\""), value("address", "\"::\""), value("boolean", "true")].to_vec(),
        ends.to_vec(),
    ];
    let request = [[text("1"), at.clone(), at, text("C1"), text("why")].to_vec(), ends.to_vec()];
    for (name, args) in [("Retrotap::notice", notice.concat()), ("Retrotap::request", request.concat())] {
        let event =
            format!("[{},{},{}]", text(name), value("vector", &format!("[{}]", args.join(","))), value("vector", "[]"));
        let outer = format!("[{},{},{}]", value("count", "1"), value("count", "1"), value("vector", &event));
        add(format!(r#"{{"type":"data-message","topic":"/retrotap","@data-type":"vector","data":{outer}}}"#)
            .into_bytes());
    }
}
