//! What somebody sends who means harm: the table of requests. Owns what they are; how they are sent is the sender's.

use super::http::TOKEN;

/// A request and how its client behaves.
pub struct Hostile {
    pub name: String,
    pub how: How,
}

pub enum How {
    /// Sent whole; an answer, or the end of the connection, comes in time.
    Whole(Vec<u8>),
    /// Its client says no more than this, and waits until somebody ends it.
    Stalls(Vec<u8>),
    /// The answer is not read for some time.
    Unread(Vec<u8>),
    /// So many connections that say this and no more, at once.
    Flood(usize, Vec<u8>),
}
use How::{Flood, Stalls, Unread, Whole};

const COUNT: &str = "/v1/count";
const QUERY: &str = "/v1/query";

fn text(words: &str) -> String {
    let mut text = String::from("\"");
    for c in words.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text += &format!("\\u{:04x}", u32::from(c)),
            c => text.push(c),
        }
    }
    text + "\""
}

/// So many of these, this between them.
fn many(count: usize, between: &str, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(between)
}

/// Filters: long, deep, that go round in circles, slow to compile, or none.
fn filters() -> Vec<(String, String)> {
    let ports = |n| many(n, " or ", |i| if i == 0 { "port 1".into() } else { format!("{}", i % 65_535 + 1) });
    let mut all: Vec<(String, String)> = Vec::new();
    for n in [100, 1000, 3999, 20_000, 60_000] {
        all.push((format!("{n} ports"), ports(n)));
        all.push((format!("{n} ports, none of them"), format!("not ({})", ports(n))));
        all.push((
            format!("{n} hosts"),
            many(n, " or ", |i| format!("host 10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255)),
        ));
        all.push((format!("{n} nots"), format!("{}tcp", "not ".repeat(n))));
        all.push((format!("{n} brackets"), format!("{}tcp{}", "(".repeat(n), ")".repeat(n))));
        all.push((format!("{n} VLANs"), many(n.min(5000), " and ", |_| "vlan".into())));
        all.push((format!("{n} MPLS labels"), many(n.min(5000), " and ", |i| format!("mpls {i}"))));
        all.push((format!("{n} sums"), format!("ip[0]{} = 7", "+ip[1]".repeat(n.min(20_000)))));
        all.push((format!("{n} places in places"), format!("{}0{} = 7", "ip[".repeat(n), "]".repeat(n))));
    }
    for n in [8, 16, 24, 40] {
        let pair = |i: usize| format!("((port {i} or host 10.0.0.{i}) and (tcp[{i}] & 7 != {i} or udp[{i}] = 1))");
        all.push((format!("{n} alternatives that multiply"), many(n, " and ", pair)));
        all.push((format!("{n} ranges"), many(n * 40, " or ", |i| format!("portrange {}-{}", i * 2 + 1, i * 2 + 900))));
        all.push((format!("{n} protocol chains"), many(n, " and ", |_| "ip6 protochain 6 or ip protochain 17".into())));
    }
    for odd in [
        "",
        " ",
        "tcp or",
        "and",
        ")",
        "(",
        "port",
        "port 99999999999",
        "host 1.2.3.4.5",
        "net 10/99",
        "ip[99999999] = 1",
        "ip[0:3] = 1",
        "1/0 = 1",
        "ip[0] / 0 = 1",
        "ip[0] << 9999 = 1",
        "len > 99999999999999999999",
        "ether host x",
        "tcp and udp",
        "link[-1] = 1",
        "gateway x",
        "host example.invalid",
        "host localhost",
        "proto \\\\tcp",
        "inbound",
        "ifname x",
        "on x",
        "rulenum 1",
        "type mgt",
        "pppoes 1 and vlan 2 and mpls 3",
        "geneve 1 and vxlan 2",
        "\u{202e}pct",
        "port 80; rm -rf /",
        "$(reboot)",
        "`reboot`",
        "' or '1'='1",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "port 80\r\nX: y",
        "port\u{0}80",
        "%s%s%n",
        "../../etc/passwd",
        "\u{feff}tcp",
        "port 80 # x",
    ] {
        all.push((format!("filter {odd:?}"), odd.into()));
    }
    all
}

/// Bodies: cut, huge, of wrong types, deep.
fn bodies() -> Vec<(String, String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add =
        |name: &str, path: &str, body: String| all.push((name.to_string(), path.to_string(), body.into_bytes()));
    for (name, body) in [
        ("nothing", ""),
        ("half an object", "{\"filter\":\"tc"),
        ("a number", "7"),
        ("a list", "[]"),
        ("null", "null"),
        ("filter: a number", "{\"filter\":7}"),
        ("filter: an object", "{\"filter\":{}}"),
        ("no such field", "{\"x\":1}"),
        ("the same twice", "{\"filter\":\"tcp\",\"filter\":\"udp\"}"),
        ("limit: below 0", "{\"limit\":-1}"),
        ("limit: huge", "{\"limit\":1e999}"),
        ("limit: a text", "{\"limit\":\"x\"}"),
        ("last: below 0", "{\"last\":-5}"),
        ("last: huge", "{\"last\":\"99999999999999999999d\"}"),
        ("since: nonsense", "{\"since\":\"then\"}"),
        ("since: behind until", "{\"since\":\"-1s\",\"until\":\"-9s\"}"),
        ("hosts: no list", "{\"hosts\":\"10.0.0.1\"}"),
        ("hosts: nonsense", "{\"hosts\":[\"x\"]}"),
        ("nets: too long", "{\"nets\":[\"10.0.0.0/64\"]}"),
        ("conn: nonsense", "{\"conn\":\"tcp\"}"),
        ("conn and id", "{\"conn\":\"tcp 1.1.1.1:1 2.2.2.2:2\",\"community_id\":\"1:x\"}"),
        ("community_id: nonsense", "{\"community_id\":\"1:\"}"),
        ("classes: unknown", "{\"classes\":[\"\u{1b}[31m\"]}"),
        ("interfaces: unknown", "{\"interfaces\":[\"../../x\"]}"),
        ("format: unknown", "{\"format\":\"exe\"}"),
        ("half a surrogate", "{\"filter\":\"\\ud800\"}"),
        ("a byte order mark", "\u{feff}{}"),
        ("two objects", "{}{}"),
        ("a comment", "{/**/}"),
        ("a trailing comma", "{\"limit\":1,}"),
        ("nan", "{\"limit\":NaN}"),
    ] {
        add(name, COUNT, body.into());
    }
    for n in [100, 10_000, 1_000_000] {
        add(&format!("{n} lists in lists"), COUNT, "[".repeat(n));
        add(&format!("{n} objects in objects"), COUNT, "{\"a\":".repeat(n));
        add(
            &format!("{n} hosts"),
            COUNT,
            format!(
                "{{\"hosts\":[{}]}}",
                many(n, ",", |i| format!("\"11.{}.{}.{}\"", i >> 16 & 255, i >> 8 & 255, i & 255))
            ),
        );
        add(&format!("{n} fields"), COUNT, format!("{{{}}}", many(n, ",", |i| format!("\"f{i}\":1"))));
    }
    for n in [1usize << 20, 8 << 20, (8 << 20) + 1, 33 << 20] {
        add(&format!("a filter of {n} bytes"), COUNT, format!("{{\"filter\":\"{}\"}}", " ".repeat(n)));
        add(&format!("orders of {n} bytes"), "/v1/assignments", format!("[{}]", " ".repeat(n)));
    }
    for name in [
        "..",
        ".",
        "",
        "/",
        "a/b",
        "../../x",
        "x\u{0}y",
        "\u{1b}[2J",
        "a\nb",
        "' ; drop table holds;--",
        "$(reboot)",
        "con",
        &"x".repeat(5000),
        "\u{202e}x",
    ] {
        let (name, reason) = (text(name), text("\u{1b}]0;owned\u{7} `id`\r\nSet-Cookie: x"));
        add(
            &format!("a hold {name:.40}"),
            "/v1/holds",
            format!("{{\"name\":{name},\"reason\":{reason},\"filter\":\"tcp port 1\",\"most_bytes\":4096}}"),
        );
        add(
            &format!("a class {name:.40}"),
            "/v1/assignments",
            format!("{{\"address\":\"203.0.113.1\",\"class\":{name},\"for\":\"1m\"}}"),
        );
    }
    add("a note of escapes", "/v1/notes", format!("{{\"text\":{}}}", text("\u{1b}[2J\r\n{\"forged\":1}\u{9b}31m")));
    add("a long note", "/v1/notes", format!("{{\"text\":{}}}", text(&"x".repeat(1 << 20))));
    add(
        "an order for ever",
        "/v1/assignments",
        "{\"address\":\"203.0.113.1\",\"class\":\"all\",\"for\":\"9999999999d\"}".into(),
    );
    add("an order for no time", "/v1/suspensions", "{\"address\":\"203.0.113.1\",\"for\":0}".into());
    add("an order for nobody", "/v1/suspensions", "{\"for\":\"1m\"}".into());
    add("an order for all", "/v1/suspensions", "{\"address\":\"0.0.0.0/0\",\"for\":\"x\"}".into());
    for (name, cursor) in cursors() {
        add(
            &format!("a cursor, {name}"),
            QUERY,
            format!("{{\"follow\":true,\"for\":1,\"cursors\":true,\"limit\":1,\"after\":{}}}", text(&cursor)),
        );
    }
    all
}

/// One that is right but for its sum, whole, cut, flipped, and other texts.
fn cursors() -> Vec<(String, String)> {
    let whole = format!("72746331{}", "00".repeat(16 + 16 * 8 + 4));
    let mut all: Vec<(String, String)> =
        [0, 1, 8, 40, 100, 200].iter().map(|n| (format!("{n} characters of it"), whole[..*n].into())).collect();
    for at in [0, 9, 60, 120, 200] {
        let mut flipped = whole.clone().into_bytes();
        flipped[at] ^= 1;
        all.push((format!("character {at} flipped"), String::from_utf8_lossy(&flipped).into_owned()));
    }
    all.extend([
        ("long".into(), "00".repeat(1 << 20)),
        ("no digits".into(), "x".repeat(300)),
        ("in capitals".into(), "AB".repeat(150)),
    ]);
    all
}

/// Heads: too many, too long, smuggled, tokens that are wrong.
fn heads() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, bytes: String| all.push((name.to_string(), bytes.into_bytes()));
    let get = |more: &str| format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{TOKEN}Connection: close\r\n{more}\r\n");
    for n in [90, 200, 10_000] {
        add(&format!("{n} heads"), get(&many(n, "", |i| format!("X-{i}: y\r\n"))));
        add(&format!("a head of {n} KiB"), get(&format!("X: {}\r\n", "y".repeat(n << 10))));
        add(&format!("a path of {n} KiB"), format!("GET /{} HTTP/1.1\r\nHost: x\r\n{TOKEN}\r\n", "a".repeat(n << 10)));
    }
    let inner = "GET /v1/holds HTTP/1.1\r\nHost: x\r\n\r\n";
    for (name, more) in [
        ("length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        ("two lengths", "Content-Length: 4\r\nContent-Length: 40\r\n"),
        ("a length below 0", "Content-Length: -1\r\n"),
        ("a huge length", "Content-Length: 99999999999999999999\r\n"),
        ("a length in hex", "Content-Length: 0x10\r\n"),
        ("two codings", "Transfer-Encoding: chunked, identity\r\n"),
        ("an unknown coding", "Transfer-Encoding: gzip\r\n"),
        ("a hidden coding", "Transfer-Encoding : chunked\r\n"),
        ("a folded head", "X: a\r\n b\r\n"),
        ("bare line feeds", "X: a\nContent-Length: 4\n"),
        ("a control character", "X: \u{1}\r\n"),
        ("an upgrade", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        ("an expectation", "Expect: 100-continue\r\nContent-Length: 9999999\r\n"),
    ] {
        add(
            name,
            format!("POST {COUNT} HTTP/1.1\r\nHost: x\r\n{TOKEN}Connection: close\r\n{more}\r\n0\r\n\r\n{inner}"),
        );
    }
    for (name, line) in [
        ("no version", "GET /"),
        ("version 0.9", "GET / HTTP/0.9"),
        ("version 9", "GET / HTTP/9.9"),
        ("no method", " / HTTP/1.1"),
        ("an odd method", "\u{1b}[2J / HTTP/1.1"),
        ("connect", "CONNECT x:80 HTTP/1.1"),
        ("trace", "TRACE / HTTP/1.1"),
        ("options", "OPTIONS * HTTP/1.1"),
        ("another's address", "GET http://169.254.169.254/ HTTP/1.1"),
        ("a path upwards", "GET /v1/holds/../../../etc/passwd/packets HTTP/1.1"),
        ("the same, encoded", "GET /v1/holds/%2e%2e%2f%2e%2e%2fx/packets HTTP/1.1"),
        ("a nul in it", "GET /v1/holds/%00/packets HTTP/1.1"),
        ("half a code", "GET /v1/holds/%/packets HTTP/1.1"),
        ("escapes", "GET /v1/holds/%1b%5b2J/manifest HTTP/1.1"),
    ] {
        add(name, format!("{line}\r\nHost: x\r\n{TOKEN}Connection: close\r\n\r\n"));
    }
    add("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".into());
    add("TLS within", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".into());
    add(
        "chunks that are huge",
        format!("POST {COUNT} HTTP/1.1\r\nHost: x\r\n{TOKEN}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"),
    );
    add(
        "chunks with long extensions",
        format!(
            "POST {COUNT} HTTP/1.1\r\nHost: x\r\n{TOKEN}Transfer-Encoding: chunked\r\n\r\n1;{}\r\nx",
            "e".repeat(1 << 20)
        ),
    );
    add("many in one", get("").replace("Connection: close\r\n", "").repeat(2000));
    for token in ["", "x", "retrotap_", "retrotap_nobody", "\u{1b}[2J", "' or 1=1 --", &"a".repeat(8000)] {
        let head = format!("Authorization: Bearer {token}\r\nConnection: close\r\n");
        add(&format!("the token {token:.20?}"), format!("GET /v1/classes HTTP/1.1\r\nHost: x\r\n{head}\r\n"));
    }
    add(
        "another scheme",
        "GET /v1/classes HTTP/1.1\r\nHost: x\r\nAuthorization: Basic cm9vdDp4\r\nConnection: close\r\n\r\n".into(),
    );
    add(
        "two tokens",
        format!("GET /v1/classes HTTP/1.1\r\nHost: x\r\n{TOKEN}Authorization: Bearer x\r\nConnection: close\r\n\r\n"),
    );
    all
}

/// The table; those that take long first, so that they run beside the others.
pub fn all() -> Vec<Hostile> {
    let mut all = Vec::new();
    let mut add = |name: &str, how: How| all.push(Hostile { name: name.into(), how });
    let post = |path: &str, body: &str| {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: x\r\n{TOKEN}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    };
    for (name, path, body) in [
        ("packets", QUERY, "{}"),
        ("packets of memory", QUERY, "{\"memory_only\":true}"),
        ("a full scan", QUERY, "{\"full_scan\":true}"),
        ("connections", "/v1/connections", "{}"),
        ("a follower", QUERY, "{\"follow\":true}"),
        ("a check", "/v1/verify", "{}"),
    ] {
        for n in 1..=4 {
            add(&format!("unread: {name} ({n})"), Unread(post(path, body)));
        }
    }
    let whole = String::from_utf8_lossy(&post(COUNT, "{\"filter\":\"tcp\"}")).into_owned();
    add("stalls: says nothing", Stalls(Vec::new()));
    for part in [1, 5, 14, 20, 30, 60, whole.len() - 10, whole.len() - 1] {
        add(&format!("stalls: {part} bytes of a request"), Stalls(whole.as_bytes()[..part].into()));
    }
    for (name, bytes) in [
        ("heads without end", format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(50))),
        (
            "a chunk without end",
            format!("POST {COUNT} HTTP/1.1\r\nHost: x\r\n{TOKEN}Transfer-Encoding: chunked\r\n\r\n5\r\nx"),
        ),
        (
            "a body that never comes",
            format!("POST {COUNT} HTTP/1.1\r\nHost: x\r\n{TOKEN}Content-Length: 8000000\r\n\r\n"),
        ),
        ("after an answer", format!("GET /v1 HTTP/1.1\r\nHost: x\r\n{TOKEN}\r\n")),
    ] {
        add(&format!("stalls: {name}"), Stalls(bytes.into_bytes()));
    }
    for n in [64, 300, 1000] {
        add(&format!("flood: {n} that say nothing"), Flood(n, Vec::new()));
        add(&format!("flood: {n} of half a head"), Flood(n, b"GET /v1 HTTP/1.1\r\nHost: ".to_vec()));
        add(
            &format!("flood: {n} without a token"),
            Flood(n, b"GET /v1/classes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec()),
        );
        add(
            &format!("flood: {n} of the beginning of TLS"),
            Flood(n, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        );
    }
    for (name, filter) in filters() {
        add(
            &format!("count: {name}"),
            Whole(post(COUNT, &format!("{{\"filter\":{},\"last\":\"2s\"}}", text(&filter)))),
        );
    }
    for (name, path, body) in bodies() {
        add(&format!("body: {name}"), Whole(post(&path, &String::from_utf8_lossy(&body))));
    }
    for (name, bytes) in heads() {
        add(&format!("head: {name}"), Whole(bytes));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_of_them_and_each_has_a_name() {
        let all = all();
        let mut names: Vec<&str> = all.iter().map(|h| h.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert!(all.len() >= 200, "{}", all.len());
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn what_is_written_as_json_is_read_as_it_was() {
        let words = "a\"b\\c\u{1b}\r\n\u{0}\u{202e}";
        assert_eq!(crate::json::Value::parse(&text(words)), Ok(crate::json::Value::Text(words.into())));
    }
}
