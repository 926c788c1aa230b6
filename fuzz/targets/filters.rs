//! `cargo fuzz run filters`: see `fuzz/src/filters.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(filters);
