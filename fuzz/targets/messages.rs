//! `cargo fuzz run messages`: see `fuzz/src/messages.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(messages);
