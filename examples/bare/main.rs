//! The ceiling that `cargo xtask bench line` compares with: a receiver that drops every packet in XDP, or takes every packet through
//! AF_XDP (retrotap's own sockets) and gives the frame back unread. Started and stopped (SIGINT) by the bench. Never part
//! of the recorder.
#![allow(unsafe_code)] // The skeleton's own blocks; none is written here.

use clap::{Parser, ValueEnum};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags};
use retrotap::xsk::socket::{Config, Socket};
use retrotap::xsk::wait::Waiter;
use std::error::Error;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[allow(missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/bare.skel.rs"));
}

/// Receives from an interface and keeps nothing, until SIGINT.
#[derive(Parser)]
struct Options {
    /// The interface.
    #[arg(long)]
    iface: String,
    /// What to do with a packet.
    #[arg(long, value_enum)]
    how: How,
    /// Its receive queue.
    #[arg(long, default_value_t = 0)]
    queue: u32,
    /// Frames of the socket.
    #[arg(long, default_value_t = 131_072)]
    frames: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum How {
    /// XDP_DROP.
    Drop,
    /// To an AF_XDP socket, whose frames go back at once.
    Xsk,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let index = std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", options.iface))
        .map_err(|e| format!("interface {}: {e}", options.iface))?;
    let index: u32 = index.trim().parse()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let mut object = MaybeUninit::uninit();
    let loaded = skel::BareSkelBuilder::default().open(&mut object)?.load()?;
    let (mut packets, mut bytes) = (0u64, 0u64);
    if options.how == How::Drop {
        let _attached = loaded.progs.bare_drop.attach_xdp(index as i32)?;
        println!("ready");
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        return Ok(());
    }
    let config = Config { frames: options.frames, frame_size: 2048, rx_entries: options.frames, copy: false };
    let mut socket = Socket::bind(index, options.queue, &config)?;
    let value = (socket.as_fd().as_raw_fd() as u32).to_ne_bytes();
    loaded.maps.sockets.update(&options.queue.to_ne_bytes(), &value, MapFlags::ANY)?;
    let _attached = loaded.progs.bare_redirect.attach_xdp(index as i32)?;
    println!("ready");
    let mut waiter = Waiter::default();
    waiter.watch([socket.as_fd()].into_iter());
    while !stop.load(Ordering::Relaxed) {
        let mut batch = socket.receive(64);
        if batch.is_empty() {
            drop(batch);
            waiter.wait(20_000_000);
            continue;
        }
        let n = batch.len();
        for i in 0..n {
            bytes += batch.frame(i).map_or(0, |f| f.data.len() as u64);
        }
        packets += u64::from(n);
        batch.done(n);
    }
    println!("{}", serde_json::json!({ "received": { "packets": packets, "bytes": bytes } }));
    Ok(())
}
