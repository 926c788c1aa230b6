//! `cargo fuzz run nids_rules`: see `fuzz/src/nids_rules.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(nids_rules);
