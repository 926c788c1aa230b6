//! The generated skeletons of the programs in `ebpf/` (built by ebpf/build.rs).
#![allow(missing_docs, unused, clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::indexing_slicing, clippy::panic, clippy::undocumented_unsafe_blocks, clippy::todo)]

pub mod xdp {
    include!(concat!(env!("OUT_DIR"), "/xdp.skel.rs"));
}
pub mod redirect_err {
    include!(concat!(env!("OUT_DIR"), "/redirect_err.skel.rs"));
}
pub mod packet {
    include!(concat!(env!("OUT_DIR"), "/packet.skel.rs"));
}
