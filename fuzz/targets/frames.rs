//! `cargo fuzz run frames`: see `fuzz/src/frames.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(frames);
