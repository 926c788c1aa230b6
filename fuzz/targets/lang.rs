//! `cargo fuzz run lang`: see `fuzz/src/lang.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(lang);
