//! The oracle: an independent, slow and plain implementation of the definition (what a connection is, when it ends, what a
//! cutoff keeps), with the page of vectors and the frames that its lines stand for. Used by the tests `vectors` and
//! `oracle`; must never use the product's packet, conn or class modules.
#![allow(dead_code)] // each test binary uses its part

pub mod captures;
pub mod frame;
pub mod model;
pub mod page;
pub mod parse;
pub mod traffic;
