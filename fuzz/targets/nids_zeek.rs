//! `cargo fuzz run nids_zeek`: see `fuzz/src/nids_zeek.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(nids_zeek);
