//! `cargo fuzz run index`: see `fuzz/src/index.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(index);
