//! `cargo fuzz run words`: see `fuzz/src/words.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(words);
