//! Loads the programs with their settings and takes the descriptors out of the skeletons, which are dropped: links and
//! sockets keep a program, the program keeps its maps.

use super::Error;
use super::counters::Counters;
use super::map::Map;
use super::shunt::{self, ShuntMaps};
use super::skel::packet::{OpenPacketSkel, PacketSkelBuilder};
use super::skel::redirect_err::RedirectErrSkelBuilder;
use super::skel::xdp::{OpenXdpSkel, XdpSkelBuilder};
use crate::limits::IFACES_MAX;
use crate::packet::{HASH_WORDS, Hasher};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, OpenMapMut, OpenObject};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Once};

/// What the programs are told before they are loaded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// [`Parser::hash_keys`](crate::packet::Parser::hash_keys).
    pub hash_keys: [u64; HASH_WORDS],
    /// VLAN ids tell connections apart.
    pub vlan_in_key: bool,
    /// Index of each interface, by slot; at most [`IFACES_MAX`].
    pub ifindex: Vec<u32>,
    /// Which of them is the loopback, where each packet is seen twice.
    pub loopback: Vec<bool>,
    /// Places of the shunt; 0: none.
    pub shunt_slots: u32,
}

/// The loaded XDP program.
#[derive(Debug)]
pub struct XdpProgram {
    program: OwnedFd,
    waiting: OwnedFd,
    xsks: Map<u32, u32>,
    /// Its counters.
    pub counters: Counters,
    /// Its shunt.
    pub shunt: Arc<ShuntMaps>,
    /// Why redirect failures are not counted by cause, if they are not.
    pub no_tracepoint: Option<io::Error>,
    _tracepoint: Option<Link>,
}

/// The loaded socket filter.
#[derive(Debug)]
pub struct PacketProgram {
    program: OwnedFd,
    /// Its counters.
    pub counters: Counters,
    /// Its shunt.
    pub shunt: Arc<ShuntMaps>,
}

impl XdpProgram {
    /// Loads the program once more for interfaces whose indices have changed, over the same maps: what is attached stays
    /// so, and everything counts on. From now on [`program`](XdpProgram::program) is the new one.
    pub fn reload(&mut self, settings: &Settings) -> Result<(), Error> {
        let failed = |source| Error::Load { program: "retrotap_xdp", source };
        let mut object = MaybeUninit::uninit();
        let mut open = open_xdp(settings, &mut object)?;
        let maps = &mut open.maps;
        maps.xsks.reuse_fd(self.xsks.as_fd()).map_err(|e| failed(errno(&e)))?;
        let shared = [&mut maps.counts, &mut maps.buckets, &mut maps.slots];
        reuse(shared, &self.counters, &self.shunt).map_err(|e| failed(errno(&e)))?;
        let skel = open.load().map_err(|e| failed(errno(&e)))?;
        self.program = own(&skel.progs.retrotap_xdp).map_err(failed)?;
        Ok(())
    }

    /// Loads the program and the tracepoint that counts redirect failures. Without the latter (no CAP_PERFMON, a kernel
    /// without BTF) it says so, and failures come from the sockets' own statistics.
    pub fn load(settings: &Settings, tracepoint: bool) -> Result<XdpProgram, Error> {
        let failed = |source| Error::Load { program: "retrotap_xdp", source };
        let mut object = MaybeUninit::uninit();
        let open = open_xdp(settings, &mut object)?;
        let skel = open.load().map_err(|e| failed(errno(&e)))?;
        let xsks_id = skel.maps.xsks.info().map_err(|e| failed(errno(&e)))?.info.id;
        let traced = if tracepoint { trace(xsks_id) } else { Err(io::Error::other("not wanted")) };
        let (tracepoint, redirect_failed, no_tracepoint) = match traced {
            Ok((link, map)) => (Some(link), Some(map), None),
            Err(e) => (None, None, Some(e)),
        };
        // SAFETY: for each map: abi.rs and key.rs assert the sizes against the programs' own types.
        unsafe {
            Ok(XdpProgram {
                program: own(&skel.progs.retrotap_xdp).map_err(failed)?,
                waiting: own(&skel.progs.retrotap_wait).map_err(failed)?,
                xsks: Map::new(own(&skel.maps.xsks).map_err(failed)?),
                counters: Counters::new(
                    Map::new(own(&skel.maps.counts).map_err(failed)?),
                    redirect_failed.map(|fd| Map::new(fd)),
                )?,
                shunt: Arc::new(ShuntMaps::new(
                    own(&skel.maps.buckets).map_err(failed)?,
                    own(&skel.maps.slots).map_err(failed)?,
                    settings.shunt_slots,
                    Hasher::of_keys(settings.hash_keys),
                )?),
                no_tracepoint,
                _tracepoint: tracepoint,
            })
        }
    }

    /// The program, to attach it.
    pub fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// What is attached until all is ready: lets every packet go on.
    pub fn waiting(&self) -> BorrowedFd<'_> {
        self.waiting.as_fd()
    }

    /// Sends the packets of a queue to a bound socket from now on.
    pub fn serve(&self, iface: usize, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        self.xsks
            .update(&super::abi::queue_index(iface, queue), &(socket.as_raw_fd() as u32), 0)
            .map_err(|source| Error::Map { map: "xsks", source })
    }
}

impl PacketProgram {
    /// As [`XdpProgram::reload`]; sockets keep the filter that they have.
    pub fn reload(&mut self, settings: &Settings) -> Result<(), Error> {
        let failed = |source| Error::Load { program: "retrotap_packet", source };
        let mut object = MaybeUninit::uninit();
        let mut open = open_packet(settings, &mut object)?;
        let maps = &mut open.maps;
        let shared = [&mut maps.counts, &mut maps.buckets, &mut maps.slots];
        reuse(shared, &self.counters, &self.shunt).map_err(|e| failed(errno(&e)))?;
        let skel = open.load().map_err(|e| failed(errno(&e)))?;
        self.program = own(&skel.progs.retrotap_packet).map_err(failed)?;
        Ok(())
    }

    /// Loads the socket filter.
    pub fn load(settings: &Settings) -> Result<PacketProgram, Error> {
        let failed = |source| Error::Load { program: "retrotap_packet", source };
        let mut object = MaybeUninit::uninit();
        let open = open_packet(settings, &mut object)?;
        let skel = open.load().map_err(|e| failed(errno(&e)))?;
        // SAFETY: for each map: abi.rs and key.rs assert the sizes against the programs' own types.
        unsafe {
            Ok(PacketProgram {
                program: own(&skel.progs.retrotap_packet).map_err(failed)?,
                counters: Counters::new(Map::new(own(&skel.maps.counts).map_err(failed)?), None)?,
                shunt: Arc::new(ShuntMaps::new(
                    own(&skel.maps.buckets).map_err(failed)?,
                    own(&skel.maps.slots).map_err(failed)?,
                    settings.shunt_slots,
                    Hasher::of_keys(settings.hash_keys),
                )?),
            })
        }
    }

    /// The program, to attach it to sockets.
    pub fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

/// The XDP program with its settings, not yet loaded.
fn open_xdp<'a>(settings: &Settings, object: &'a mut MaybeUninit<OpenObject>) -> Result<OpenXdpSkel<'a>, Error> {
    let failed = |source| Error::Load { program: "retrotap_xdp", source };
    quiet();
    let mut open = XdpSkelBuilder::default().open(object).map_err(|e| failed(errno(&e)))?;
    if let Some(r) = open.maps.rodata_data.as_deref_mut() {
        r.rt_hash_key = settings.hash_keys;
        r.rt_ifindex = slots(&settings.ifindex);
        r.rt_ifaces = settings.ifindex.len() as u32;
        r.rt_vlan_in_key = settings.vlan_in_key.into();
        r.rt_shunt_enabled = (settings.shunt_slots > 0).into();
        r.rt_shunt_mask = shunt::buckets(settings.shunt_slots) - 1;
    }
    let buckets = shunt::buckets(settings.shunt_slots);
    for (map, entries) in [(&mut open.maps.buckets, buckets), (&mut open.maps.slots, settings.shunt_slots.max(1))] {
        map.set_max_entries(entries).map_err(|e| failed(errno(&e)))?;
    }
    Ok(open)
}

/// The socket filter with its settings, not yet loaded.
fn open_packet<'a>(settings: &Settings, object: &'a mut MaybeUninit<OpenObject>) -> Result<OpenPacketSkel<'a>, Error> {
    let failed = |source| Error::Load { program: "retrotap_packet", source };
    quiet();
    let mut open = PacketSkelBuilder::default().open(object).map_err(|e| failed(errno(&e)))?;
    if let Some(r) = open.maps.rodata_data.as_deref_mut() {
        r.rt_hash_key = settings.hash_keys;
        r.rt_ifindex = slots(&settings.ifindex);
        r.rt_ifaces = settings.ifindex.len() as u32;
        r.rt_vlan_in_key = settings.vlan_in_key.into();
        r.rt_shunt_enabled = (settings.shunt_slots > 0).into();
        r.rt_shunt_mask = shunt::buckets(settings.shunt_slots) - 1;
        for (to, from) in r.rt_loopback.iter_mut().zip(&settings.loopback) {
            *to = (*from).into();
        }
    }
    let buckets = shunt::buckets(settings.shunt_slots);
    for (map, entries) in [(&mut open.maps.buckets, buckets), (&mut open.maps.slots, settings.shunt_slots.max(1))] {
        map.set_max_entries(entries).map_err(|e| failed(errno(&e)))?;
    }
    Ok(open)
}

/// Has a program use the maps `counts`, `buckets` and `slots` (in this order) of another.
fn reuse(maps: [&mut OpenMapMut<'_>; 3], counters: &Counters, shunt: &ShuntMaps) -> libbpf_rs::Result<()> {
    let [buckets, slots] = shunt.maps();
    maps.into_iter().zip([counters.map(), buckets, slots]).try_for_each(|(map, fd)| map.reuse_fd(fd))
}

/// Loads and attaches the tracepoint for redirects into the map `xsks_id`.
fn trace(xsks_id: u32) -> io::Result<(Link, OwnedFd)> {
    let mut object = MaybeUninit::uninit();
    let mut open = RedirectErrSkelBuilder::default().open(&mut object).map_err(|e| errno(&e))?;
    if let Some(r) = open.maps.rodata_data.as_deref_mut() {
        r.rt_xsks_id = xsks_id;
    }
    let skel = open.load().map_err(|e| errno(&e))?;
    let link = skel.progs.retrotap_redirect_err.attach_trace().map_err(|e| errno(&e))?;
    Ok((link, own(&skel.maps.redirect_failed)?))
}

fn slots(ifindex: &[u32]) -> [u32; IFACES_MAX] {
    let mut slots = [0; IFACES_MAX];
    for (to, from) in slots.iter_mut().zip(ifindex) {
        *to = *from;
    }
    slots
}

fn own(fd: &impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

/// libbpf-rs keeps the errno to itself: its kind and text are what can be had.
fn errno(e: &libbpf_rs::Error) -> io::Error {
    let kind = match e.kind() {
        libbpf_rs::ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        libbpf_rs::ErrorKind::OutOfMemory => io::ErrorKind::OutOfMemory,
        libbpf_rs::ErrorKind::NotFound => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, e.to_string())
}

/// Sends what libbpf prints, the verifier's log included, to the log instead of standard error.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Info, |_, text| {
            tracing::debug!(target: "libbpf", "{}", text.trim_end());
        })));
    });
}
