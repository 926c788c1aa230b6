//! `cargo fuzz run splice`: see `fuzz/src/splice.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(splice);
