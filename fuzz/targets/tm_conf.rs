//! `cargo fuzz run tm_conf`: see `fuzz/src/tm_conf.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(tm_conf);
