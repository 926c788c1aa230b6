//! `cargo fuzz run scrape`: see `fuzz/src/scrape.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(scrape);
