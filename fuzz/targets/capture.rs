//! `cargo fuzz run capture`: see `fuzz/src/capture.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(capture);
