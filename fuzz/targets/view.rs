//! `cargo fuzz run view`: see `fuzz/src/view.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(view);
