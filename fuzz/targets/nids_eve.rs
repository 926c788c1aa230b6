//! `cargo fuzz run nids_eve`: see `fuzz/src/nids_eve.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(nids_eve);
