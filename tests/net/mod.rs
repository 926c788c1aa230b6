//! Network namespaces, veth pairs and a sender for tests that need root. Each namespace belongs to the thread that
//! entered it and is gone with it; nothing outside it is touched.
#![allow(unsafe_code, dead_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

/// Runs `f` on a thread in a fresh network namespace with `lo` up and no IPv6 chatter. Says so and returns false where the
/// process may not make one.
pub fn in_namespace(name: &str, f: impl FnOnce() + Send + 'static) -> bool {
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: {name}: it takes root");
        return false;
    }
    let run = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // SAFETY: changes the namespace of this thread only.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("skipped: no network namespace: {}", std::io::Error::last_os_error());
            return false;
        }
        for conf in ["all", "default"] {
            // No router solicitations or neighbour discovery among the packets that are counted.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{conf}/disable_ipv6"), "1");
        }
        ip("link set lo up");
        f();
        true
    });
    match run.map(std::thread::JoinHandle::join) {
        Ok(Ok(ran)) => ran,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(e) => panic!("no thread: {e}"),
    }
}

/// Runs `f` on a thread that is this user, and nothing else is: takes root.
pub fn as_user<T: Send + 'static>(uid: u32, f: impl FnOnce() -> T + Send + 'static) -> T {
    let run = move || {
        // SAFETY: the system calls themselves, unlike the functions of libc, change this thread alone.
        let done = unsafe {
            libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>())
                | libc::syscall(libc::SYS_setresgid, uid, uid, uid)
                | libc::syscall(libc::SYS_setresuid, uid, uid, uid)
        };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        f()
    };
    std::thread::spawn(run).join().expect("it ends")
}

/// `ip ARGS`.
pub fn ip(args: &str) {
    let out = Command::new("ip").args(args.split_whitespace()).output().expect("ip(8) runs");
    assert!(out.status.success(), "ip {args}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A veth pair: packets sent on `a` arrive on `b`.
pub fn veth(a: &str, b: &str, queues: u32, mtu: u32) {
    let q = format!("numrxqueues {queues} numtxqueues {queues}");
    ip(&format!("link add {a} mtu {mtu} {q} type veth peer name {b} mtu {mtu} {q}"));
    ip(&format!("link set {a} up"));
    ip(&format!("link set {b} up"));
}

/// Sends raw frames on one interface.
pub struct Sender {
    fd: OwnedFd,
    address: libc::sockaddr_ll,
}

impl Sender {
    pub fn new(interface: &str) -> Sender {
        let name = std::ffi::CString::new(interface).expect("a name");
        // SAFETY: plain calls; the descriptor is fresh and owned; zeroes are valid for sockaddr_ll.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "packet socket: {}", std::io::Error::last_os_error());
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
            assert!(address.sll_ifindex > 0, "no interface {interface}");
            Sender { fd: OwnedFd::from_raw_fd(fd), address }
        }
    }

    pub fn send(&self, frame: &[u8]) {
        // SAFETY: the frame with its length, and an address with its size.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const self.address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        assert_eq!(sent, frame.len() as isize, "sending: {}", std::io::Error::last_os_error());
    }
}

/// Runs this thread on one processor: on veth it decides the queue.
pub fn pin(cpu: usize) {
    // SAFETY: a zeroed set with one processor, for the calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

pub const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const B: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// An IPv4 UDP frame with `payload` bytes that differ by `n`.
pub fn udp(source: u16, destination: u16, n: u32, payload: usize) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2(A, B).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    let mut bytes: Vec<u8> = (0..payload as u32).map(|i| (i.wrapping_mul(31).wrapping_add(n * 7)) as u8).collect();
    for (to, from) in bytes.iter_mut().zip(n.to_be_bytes()) {
        *to = from;
    }
    let mut frame = Vec::new();
    builder.udp(source, destination).write(&mut frame, &bytes).expect("a frame");
    frame
}

/// The frame with VLAN tags (TPID, TCI) behind its addresses, outermost first.
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for (tpid, tci) in tags {
        out.extend(tpid.to_be_bytes());
        out.extend(tci.to_be_bytes());
    }
    out.extend(&frame[12..]);
    out
}
