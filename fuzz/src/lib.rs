//! What is tried with bytes from outside: a target for each parser. A target takes any bytes; it panics where the product says something that
//! is wrong, and the product may neither panic, nor hang, nor take memory without bound. Owns the list of targets and their first inputs; run by
//! cargo-fuzz, and without it by this package's tests. Never part of the product.

pub mod api;
pub mod capture;
pub mod config;
pub mod conn_log;
pub mod cursor;
pub mod filters;
pub mod frames;
pub mod index;
pub mod lang;
pub mod ledger;
mod made;
pub mod messages;
pub mod nids_eve;
pub mod nids_rules;
pub mod nids_zeek;
pub mod packet;
pub mod programs;
pub mod receipts;
pub mod records;
pub mod scrape;
mod scratch;
pub mod segment;
pub mod splice;
pub mod store;
mod sums;
pub mod tm_conf;
pub mod view;
pub mod words;

#[path = "../../tests/oracle/parse.rs"]
#[allow(dead_code, missing_docs)] // the tests of the product use all of it
mod oracle;

/// A parser of bytes from outside.
pub struct Target {
    /// As cargo-fuzz calls it.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
    /// Gives inputs to begin with.
    pub seeds: fn(&mut dyn FnMut(Vec<u8>)),
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// All of them: of each a file here, a line in this list and in `Cargo.toml`.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*];
    };
}

targets!(
    packet, view, capture, segment, index, filters, receipts, ledger, store, records, config, tm_conf, lang, words,
    conn_log, nids_eve, nids_zeek, nids_rules, frames, messages, cursor, splice, programs, scrape, api,
);

/// The program of one target: libFuzzer's where cargo-fuzz builds it, else one that tries the files that it is given.
#[macro_export]
macro_rules! fuzz {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(init: $crate::begin($crate::$target::seeds), |data: &[u8]| {
            $crate::$target::run(data)
        });

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::begin($crate::$target::seeds);
            for path in std::env::args_os().skip(1) {
                $crate::$target::run(&std::fs::read(path).expect("the file"));
            }
        }
    };
}

/// A folder: the program writes the first inputs of its target there, and tries none.
pub const SEEDS: &str = "RETROTAP_FUZZ_SEEDS";

/// What a target's program does first: as a child of itself it compiles filters, as `retrotap` does.
pub fn begin(seeds: fn(&mut dyn FnMut(Vec<u8>))) {
    if std::env::args().nth(1).as_deref() == Some(retrotap::filter::apart::WORD) {
        let _ = retrotap::filter::apart::serve();
        std::process::exit(0);
    }
    if let Some(folder) = std::env::var_os(SEEDS) {
        let (folder, mut number) = (std::path::PathBuf::from(folder), 0);
        std::fs::create_dir_all(&folder).expect("a folder");
        seeds(&mut |bytes| {
            std::fs::write(folder.join(format!("{number:04}")), bytes).expect("a file");
            number += 1;
        });
        std::process::exit(0);
    }
    // What is short is compiled here, so that what it costs is seen.
    retrotap::filter::apart::where_long();
}

/// The first byte as options, and the rest.
fn options(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// The parts of an input that has several: all but the last have their length in front, two bytes. What is missing is empty.
fn parts<const N: usize>(mut data: &[u8]) -> [&[u8]; N] {
    let mut all = [&[][..]; N];
    for (n, part) in all.iter_mut().enumerate() {
        if n + 1 == N {
            *part = data;
        } else if let Some((len, rest)) = data.split_first_chunk::<2>() {
            (*part, data) = rest.split_at(rest.len().min(u16::from_le_bytes(*len).into()));
        } else {
            data = &[];
        }
    }
    all
}

/// An input of these parts.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let Some((last, first)) = parts.split_last() else { return Vec::new() };
    let mut all = Vec::new();
    for part in first {
        all.extend((part.len() as u16).to_le_bytes());
        all.extend(&part[..part.len().min(u16::MAX.into())]);
    }
    all.extend(*last);
    all
}
