//! `cargo fuzz run programs`: see `fuzz/src/programs.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(programs);
