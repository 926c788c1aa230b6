//! `cargo fuzz run config`: see `fuzz/src/config.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(config);
