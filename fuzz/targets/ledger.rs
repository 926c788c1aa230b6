//! `cargo fuzz run ledger`: see `fuzz/src/ledger.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(ledger);
