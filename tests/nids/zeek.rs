//! The coupling with Zeek against a server that does what Zeek's documentation says (advanced/devel/websocket-api.rst): no Zeek can be
//! installed here.

use crate::common::{Retrotap, libpcap};
use crate::coupling::Coupling;
use crate::rig::{Daemon, PATIENCE};
use crate::{all_sums_are_right, record_of, recorded};
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket, accept_hdr};

/// The server's side of one connection.
struct Peer(WebSocket<TcpStream>);

/// The server.
struct Server(TcpListener);

impl Server {
    fn new() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("no waiting");
        Server(listener)
    }

    fn url(&self) -> String {
        format!("ws://{}/v1/messages/json", self.0.local_addr().expect("an address"))
    }

    /// The next connection, its handshake done.
    fn accept(&self, coupling: &Coupling) -> Peer {
        let start = Instant::now();
        let stream = loop {
            match self.0.accept() {
                Ok((stream, _)) => break stream,
                Err(_) => assert!(start.elapsed() < PATIENCE, "no connection: {}", coupling.log()),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).expect("a timeout");
        #[allow(clippy::result_large_err)] // the library's signature
        let look = |request: &Request, response: Response| {
            assert_eq!(request.uri().path(), "/v1/messages/json");
            // Zeek refuses a name that does not match [-/_.=:*@a-zA-Z0-9]+.
            assert_eq!(request.headers()["x-application-name"], "retrotap");
            Ok(response)
        };
        Peer(accept_hdr(stream, look).expect("a handshake"))
    }

    /// The same with topics taken and acknowledged.
    fn welcome(&self, coupling: &Coupling) -> Peer {
        let mut peer = self.accept(coupling);
        assert_eq!(peer.hear(), json!(["retrotap/notice", "retrotap/request"]));
        peer.say(
            r#"{"type":"ack","endpoint":"3eece35d-9f94-568d-861c-6a16c433e090-websocket-2","version":"8.0.0-dev.684"}"#,
        );
        peer
    }
}

impl Peer {
    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("it reads");
    }

    fn hear(&mut self) -> Value {
        loop {
            let read = match self.0.read() {
                // A process of the test's own has ended meanwhile.
                Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.expect("a message"),
            };
            match read {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// An answer: its arguments without their types.
    fn answer(&mut self) -> Vec<Value> {
        let message = self.hear();
        assert_eq!((&message["type"], &message["topic"]), (&"data-message".into(), &"retrotap/answer".into()));
        let types = [0, 1, 2].map(|i| message["data"][i]["@data-type"].clone());
        assert_eq!((&message["@data-type"], types), (&"vector".into(), ["count", "count", "vector"].map(Value::from)));
        let event = &message["data"][2]["data"];
        assert_eq!(event[0], json!({"@data-type": "string", "data": "Retrotap::answer"}));
        event[1]["data"].as_array().expect("arguments").iter().map(|a| a["data"].clone()).collect()
    }
}

fn v(kind: &str, data: impl Into<Value>) -> Value {
    json!({"@data-type": kind, "data": data.into()})
}

/// An event with the network time as metadata, as Zeek sends it.
fn event(topic: &str, name: &str, args: Vec<Value>) -> String {
    let meta = v("vector", vec![v("vector", vec![v("count", 1), v("timestamp", "2023-11-14T22:13:22.000")])]);
    let event = v("vector", vec![v("string", name), v("vector", args), meta]);
    let data = json!([v("count", 1), v("count", 1), event]);
    json!({"type": "data-message", "topic": topic, "@data-type": "vector", "data": data}).to_string()
}

fn ends(host: &str, port: u16) -> [Value; 4] {
    [v("address", host), v("port", format!("{port}/udp")), v("address", "10.9.9.9"), v("port", "53/udp")]
}

const AT: &str = "2023-11-14T22:13:22.000";

fn notice(name: &str, host: u8) -> String {
    let mut args = vec![v("string", name), v("string", "a message"), v("string", ""), v("timestamp", AT)];
    args.extend([
        v("string", "CHhAvVGS1DHFjwGM9"),
        v("address", format!("10.0.0.{host}")),
        v("address", "::"),
        v("boolean", true),
    ]);
    args.extend(ends(&format!("10.0.0.{host}"), 12345));
    event("retrotap/notice", "Retrotap::notice", args)
}

fn request(name: &str, host: &str, port: u16) -> String {
    let mut args = vec![v("string", name), v("timestamp", AT), v("timestamp", "2023-11-14T22:13:20.000")];
    args.extend([v("string", "CHhAvVGS1DHFjwGM9"), v("string", "a script wants it")]);
    args.extend(ends(host, port));
    event("retrotap/request", "Retrotap::request", args)
}

const RULES: &str = "per_offender = \"3/1h\"\n[[rule]]\nname = \"scans\"\nnotice = \"^Scan::\"\nhold = [\"offender\"]\n\
    [[rule]]\nname = \"requests\"\nnotice = \"^Retrotap::request$\"\nhold = [\"connection\"]\n";

fn start(r: &Retrotap, server: &Server) -> (Daemon, Coupling) {
    let daemon = recorded(r);
    (daemon, Coupling::start(r, RULES, &["zeek", "--connect", &server.url()]))
}

#[test]
fn notices_hold_packets_and_requests_are_answered() {
    let (r, server) = (Retrotap::default(), Server::new());
    let (daemon, coupling) = start(&r, &server);
    let mut zeek = server.welcome(&coupling);
    zeek.say(&notice("Scan::Port_Scan", 7));
    zeek.say(&notice("SSL::Invalid_Server_Cert", 8));
    zeek.say(&request("R1", "10.0.0.9", 12345));
    let answer = zeek.answer();
    let hold = answer[2].as_str().expect("a name");
    assert_eq!((&answer[0], &answer[1], &answer[6]), (&"R1".into(), &true.into(), &"".into()), "{answer:?}");
    let (packets, error) = libpcap(Path::new(answer[3].as_str().expect("a file")));
    assert_eq!((error, Some(packets.len() as u64)), (None, answer[4].as_u64()));
    assert_eq!(packets, crate::queried(&r, &["--conn", "udp 10.0.0.9:12345 10.9.9.9:53"]));
    let record = record_of(&r, hold);
    assert!(record["reason"].as_str().is_some_and(|t| t.contains("a script wants it")), "{record}");
    assert_eq!(record["about"]["args"][0]["data"], "R1");
    // Nothing recorded; asked for twice; more than the offender may.
    zeek.say(&request("R2", "10.77.0.1", 5));
    let answer = zeek.answer();
    assert!(answer[1] == false && answer[6].to_string().contains("no packet matches"), "{answer:?}");
    zeek.say(&request("R3", "10.0.0.9", 12345));
    let answer = zeek.answer();
    assert!(answer[0] == "R3" && answer[6].to_string().contains("lately"), "{answer:?}");
    for n in 0..4 {
        zeek.say(&request(&format!("S{n}"), "10.0.0.9", 600 + n));
    }
    let answers: Vec<Vec<Value>> = (0..4).map(|_| zeek.answer()).collect();
    let limited = answers.iter().filter(|a| a[6].to_string().contains("per_offender")).count();
    assert_eq!(limited, 2, "{answers:?}");
    all_sums_are_right(&r);
    let (_, counts, log) = coupling.stop();
    let n = |what: &str| counts[what].as_u64().expect("a count");
    assert_eq!(
        (n("alerts"), n("unmatched"), n("repeated"), n("limited"), n("held")),
        (9, 1, 1, 2, 2),
        "{counts} {log}"
    );
    daemon.stop();
}

#[test]
fn it_connects_again_and_again() {
    let (r, server) = (Retrotap::default(), Server::new());
    let (daemon, coupling) = start(&r, &server);
    // One that refuses the topics, one that hangs up at once, one in the middle, then a good one.
    let mut zeek = server.accept(&coupling);
    zeek.hear();
    zeek.say(r#"{"type":"error","code":"deserialization_failed","context":"no topics"}"#);
    coupling.until("its words", |lines| lines.iter().any(|l| l["why"].to_string().contains("no topics")));
    drop(server.accept(&coupling));
    let mut zeek = server.welcome(&coupling);
    zeek.say(&notice("Scan::Port_Scan", 7));
    coupling.until_actions(1);
    drop(zeek);
    let mut zeek = server.welcome(&coupling);
    zeek.say(&request("R1", "10.0.0.9", 12345));
    assert_eq!(zeek.answer()[0], "R1");
    zeek.0.close(None).expect("a close");
    let mut zeek = server.welcome(&coupling);
    zeek.say(&notice("Scan::Port_Scan", 8));
    coupling.until_actions(3);
    let (code, counts, log) = coupling.stop();
    assert_eq!((code, &counts["held"], &counts["failed"]), (Some(0), &3.into(), &0.into()), "{log}");
    daemon.stop();
}

#[test]
fn nonsense_and_floods_are_counted_and_told() {
    let (r, server) = (Retrotap::default(), Server::new());
    let (daemon, coupling) = start(&r, &server);
    let mut zeek = server.welcome(&coupling);
    for text in [
        "How is it going?",
        "[]",
        "{}",
        r#"{"type":"data-message","topic":"retrotap/notice","@data-type":"count","data":1}"#,
    ] {
        zeek.say(text);
    }
    zeek.0.send(Message::binary(vec![0; 100])).expect("it reads");
    zeek.say(&event("retrotap/notice", "Retrotap::notice", vec![v("count", 1)]));
    // Another's event on our topic is none of our business.
    zeek.say(&event("retrotap/notice", "hello", vec![v("count", 3)]));
    let flood = std::thread::spawn(move || {
        for n in 0..20_000u32 {
            zeek.say(&notice("Scan::Port_Scan", (n % 200) as u8 + 1));
        }
        zeek
    });
    let mut zeek = flood.join().expect("a flood");
    zeek.say(&request("R1", "10.0.0.250", 12345));
    assert_eq!(zeek.answer()[0], "R1", "a request comes through behind a flood");
    // Longer than is taken: this connection is over, perhaps while it is still being sent; the next is good.
    let _ = zeek.0.send(Message::text(format!("\"{}\"", "x".repeat(2 << 20))));
    let mut zeek = server.welcome(&coupling);
    zeek.say(&request("R2", "10.0.0.251", 12345));
    assert_eq!(zeek.answer()[0], "R2");
    let failed: Vec<Value> = coupling.lines().into_iter().filter(|l| l["error"].is_string()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let (code, counts, log) = coupling.stop();
    let n = |what: &str| counts[what].as_u64().expect("a count");
    assert_eq!((code, n("alerts"), n("malformed"), n("records")), (Some(0), 20_002, 7, 20_010), "{log}");
    // 60 a minute of the rule, and a request or two.
    assert!((62..70).contains(&n("acted")), "{counts}");
    assert_eq!(n("held"), n("acted"));
    daemon.stop();
}

#[test]
fn an_address_that_is_none_is_refused() {
    let r = Retrotap::default();
    let daemon = recorded(&r);
    let rules = r.dir().join("rules.toml");
    std::fs::write(&rules, RULES).expect("rules");
    for url in ["zeek.example", "wss://127.0.0.1:1/v1/messages/json", "ws://"] {
        let ran = r.run(&["nids", "zeek", "--connect", url, "--rules", &rules.to_string_lossy()]);
        assert!(ran.code == Some(2) && ran.err.contains("ws://127.0.0.1:27759"), "{url}: {}", ran.err);
    }
    daemon.stop();
}
