//! `cargo fuzz run conn_log`: see `fuzz/src/conn_log.rs`.
#![cfg_attr(fuzzing, no_main)]

retrotap_fuzz::fuzz!(conn_log);
