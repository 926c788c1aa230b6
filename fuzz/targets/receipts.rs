//! `cargo fuzz run receipts`: see `fuzz/src/receipts.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(receipts);
