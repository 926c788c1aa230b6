//! The load generator's own tests: its mixes are what they are said to be, its packets are sound. (That the kernel's player
//! and this one agree is tested in namespaces.)

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../examples/load/main.rs"]
mod load;
