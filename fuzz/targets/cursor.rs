//! `cargo fuzz run cursor`: see `fuzz/src/cursor.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(cursor);
