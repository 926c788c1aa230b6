//! Every vector of `tests/vectors.md`, through the oracle and through the product.

#[path = "oracle/mod.rs"]
mod oracle;
mod product;

use oracle::page::{Vector, Web, vectors};
use product::{Product, compare_receipts};

const PAGE: &str = include_str!("vectors.md");

/// The packets of a vector one by one: text, time, wire length, link type, captured bytes.
fn frames(vector: &Vector) -> Vec<(&str, u64, u32, u16, Vec<u8>)> {
    let mut frames = Vec::new();
    for line in &vector.packets {
        let mut bytes = line.frame.bytes().unwrap_or_else(|e| panic!("{}: {e} in `{}`", vector.number, line.text));
        let wire = bytes.len() as u32;
        bytes.truncate(line.captured.unwrap_or(bytes.len()));
        for _ in 0..line.repeat {
            frames.push((line.text.as_str(), line.time, wire, line.frame.link_type(), bytes.clone()));
        }
    }
    frames
}

#[test]
fn the_page_is_whole() {
    let vectors = vectors(PAGE);
    assert!(vectors.len() >= 40, "{} vectors", vectors.len());
    for (i, vector) in vectors.iter().enumerate() {
        assert_eq!(vector.number, format!("V{:02}", i + 1), "numbers run on");
        assert!(!vector.packets.is_empty(), "{} has packets", vector.number);
        // Connections are numbered in order of their first packets, and `new` stands at these.
        let mut known = 0;
        for line in &vector.packets {
            assert_eq!(line.new, line.connection == known + 1, "{}: `{}`", vector.number, line.text);
            known = known.max(line.connection);
        }
    }
}

#[test]
fn the_oracle_holds_every_vector() {
    let mut failures = Vec::new();
    for vector in vectors(PAGE) {
        let mut oracle = Web::oracle(&vector.rules, vector.web);
        let mut frames = frames(&vector).into_iter();
        for line in &vector.packets {
            for i in 0..line.repeat {
                let (_, time, wire, link_type, bytes) = frames.next().expect("a frame for each line");
                let got = Web::ask(vector.web, &mut oracle, time, wire, link_type, &bytes);
                let name = &oracle.connections[got.connection - 1].name;
                let by = line
                    .by
                    .is_none_or(|(host, port)| name.ends().map(|e| e[got.originator]) == Some((host.addr(), port)));
                if !by || line.web.is_some_and(|web| web != (got.class == 1)) {
                    failures.push(format!("{} {}: `{}`, got {got:?}", vector.number, vector.title, line.text));
                }
                if (got.stored, got.connection, got.new) != (line.stored, line.connection, line.new && i == 0) {
                    failures.push(format!("{} {}: `{}`, got {got:?}", vector.number, vector.title, line.text));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_product_holds_every_vector() {
    let mut failures = Vec::new();
    for vector in vectors(PAGE) {
        let mut oracle = Web::oracle(&vector.rules, vector.web);
        let mut product = Product::classed(&vector.rules, vector.web, 256);
        let mut frames = frames(&vector).into_iter();
        for line in &vector.packets {
            for _ in 0..line.repeat {
                let (_, time, wire, link_type, bytes) = frames.next().expect("a frame for each line");
                let expected = Web::ask(vector.web, &mut oracle, time, wire, link_type, &bytes);
                let stored = product.packet(time, wire, link_type, &bytes);
                if (stored, product.began()) != (line.stored, (expected.originator, expected.class)) {
                    failures.push(format!("{} {}: `{}`", vector.number, vector.title, line.text));
                }
            }
        }
        // Which packets belong together shows in the receipts; the oracle has the page's numbers.
        if let Err(wrong) = compare_receipts(&oracle.connections, &product.finish()) {
            failures.push(format!("{} {}: {wrong}", vector.number, vector.title));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
