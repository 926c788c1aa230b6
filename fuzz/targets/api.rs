//! `cargo fuzz run api`: see `fuzz/src/api.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(api);
