//! `cargo fuzz run segment`: see `fuzz/src/segment.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(segment);
