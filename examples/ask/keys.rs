//! Which connections are asked for: drawn from packets that the recorder has in memory.

use super::Error;
use super::client::{Request, post};
use retrotap::control::{Ask, Client, When};
use retrotap::packet::Parser;
use retrotap::packet::key::Kind;
use retrotap::source::file::FileSource;
use retrotap::source::{Packet, Polled, Source};
use retrotap::units;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Where traffic is recorded: the packets are those of this part of the past, seconds. It is older than the recorder needs to write
/// and index a block, and far younger than what leaves memory.
const YOUNG: (u64, u64) = (2, 1);

/// A request for each TCP or UDP connection among the first `sample` packets of memory, or, of `young` ones, among those of the last moments.
pub fn draw(socket: &Path, sample: u64, memory_only: bool, young: bool) -> Result<Vec<Request>, Error> {
    let mut client = Client::connect(socket)?.ok_or("no recorder answers there")?;
    let mut ask = Ask { filter: "tcp or udp".into(), memory_only: true, limit: Some(sample), ..Ask::default() };
    if young {
        let ago = |seconds: u64| When::Text(units::time(units::now().saturating_sub(seconds * 1_000_000_000)));
        (ask.since, ask.until) = (Some(ago(YOUNG.0)), Some(ago(YOUNG.1)));
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("sample.pcapng");
    client.query(&ask, &mut std::fs::File::create(&path)?, &AtomicBool::new(false))?;
    // How many packets of each there are: a later answer has no fewer.
    let (mut source, parser, mut all) = (FileSource::open(&[path], None)?, Parser::new(0, true), BTreeMap::new());
    while source.poll(|packets, interfaces| {
        for p in packets {
            let link_type = interfaces.get(usize::from(p.iface)).map_or(1, |i| i.link_type);
            if let Some(conn) = conn(&parser, p, link_type) {
                *all.entry(conn).or_insert(0u64) += 1;
            }
        }
    })? != Polled::End
    {}
    // Neighbours in the list are not neighbours in memory.
    let mut mixed: Vec<(String, u64)> = all.into_iter().collect();
    for i in 1..mixed.len() {
        mixed.swap(i, (i * 2_654_435_761) % (i + 1));
    }
    let request = |(conn, least): (String, u64)| {
        let bytes = post("/v1/query", &serde_json::json!({ "conn": conn, "memory_only": memory_only }));
        Request { conn, bytes, least }
    };
    Ok(mixed.into_iter().map(request).collect())
}

/// The packet's connection as `--conn` takes it.
fn conn(parser: &Parser, packet: &Packet<'_>, link_type: u16) -> Option<String> {
    let key = parser.parse(link_type, packet.data).key;
    let t = key.tail();
    let proto = match t.proto {
        6 => "tcp",
        17 => "udp",
        _ => return None,
    };
    let (Kind::Ip, Some([a, b])) = (t.kind(), key.addrs()) else { return None };
    let end = |a: IpAddr, port| SocketAddr::new(a, port);
    Some(format!("{proto} {} {}", end(a, t.port[0]), end(b, t.port[1])))
}
