//! The checks of the machine: kernel, CPUs, memory, disk, rights.

use super::script::quote;
use super::{Check, State, drivers, line};
use crate::limits::{FRAME_BYTES, FRAMES};
use rustix::process::{Resource, getrlimit};
use std::path::Path;

/// All of them.
pub(super) fn checks() -> Vec<Check> {
    let mut all =
        vec![kernel(), rights(), memlock(), jit(), uring(), governor(), irqbalance(), transparent(), reserved()];
    all.push(isolated());
    all
}

fn kernel() -> Check {
    let text = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    const WHY: &str = "AF_XDP for jumbo frames is there from 6.6 on, busy polling from 5.11 on; io_uring on ext4 without helper threads from 6.12 on";
    match drivers::release(&text) {
        Some(v) => Check::ok_if("kernel", WHY, v >= (6, 6), text),
        None => Check::unknown("kernel", WHY, text),
    }
}

/// Numbers of include/uapi/linux/capability.h.
const NEEDED: [(u32, &str); 4] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
const SYS_ADMIN: u64 = 1 << 21;
const IPC_LOCK: u64 = 1 << 14;

/// The effective capabilities of this process.
fn capabilities() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

fn rights() -> Check {
    const WHY: &str = "record takes root, or these capabilities: setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon,cap_ipc_lock,cap_sys_nice+ep, or the systemd unit in tuning/";
    let Some(have) = capabilities() else { return Check::unknown("rights", WHY, "/proc/self/status cannot be read") };
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|(n, _)| have & (1 << n) == 0 && (*n < 38 || have & SYS_ADMIN == 0))
        .map(|(_, name)| name)
        .collect();
    let found = if missing.is_empty() {
        "this user has them".into()
    } else {
        format!("this user lacks {}", missing.join(", "))
    };
    Check::ok_if("rights", WHY, missing.is_empty(), found)
}

fn memlock() -> Check {
    const WHY: &str = "rings and buffers are locked memory: LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited";
    let limit = getrlimit(Resource::Memlock).current;
    let free = limit.is_none() || capabilities().is_some_and(|c| c & IPC_LOCK != 0);
    let found = limit.map_or("unlimited".to_owned(), crate::units::size);
    Check::ok_if(
        "locked memory",
        WHY,
        free,
        if free && limit.is_some() { format!("{found}, but this user need not keep it") } else { found },
    )
}

/// A sysctl that should have a value.
fn sysctl(knob: &'static str, why: &'static str, key: &str, good: &[&str], want: &str) -> Check {
    let path = format!("/proc/sys/{}", key.replace('.', "/"));
    let Some(now) = line(&path) else { return Check::unknown(knob, why, format!("no {path} here")) };
    let set = |to: &str| format!("sysctl -q -w {key}={}", quote(to));
    Check::ok_if(knob, why, good.contains(&now.as_str()), format!("{key} = {now}")).fixed_by(set(want), set(&now))
}

fn jit() -> Check {
    sysctl("BPF JIT", "the XDP program as machine code", "net.core.bpf_jit_enable", &["1", "2"], "1")
}

fn uring() -> Check {
    let why = "without io_uring a helper thread writes, which costs more";
    sysctl("io_uring allowed", why, "kernel.io_uring_disabled", &["0"], "0")
}

fn governor() -> Check {
    const WHY: &str = "a CPU that sleeps deeply or clocks down wakes late";
    let mut now = Vec::new();
    for cpu in 0..std::thread::available_parallelism().map_or(1, usize::from) {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        now.extend(line(&path).map(|g| (path, g)));
    }
    if now.is_empty() {
        return Check::unknown("governor", WHY, "this machine shows no frequency scaling");
    }
    let slow = now.iter().filter(|(_, g)| g != "performance").count();
    let set = |of: &dyn Fn(&str) -> String| {
        now.iter().map(|(p, g)| format!("echo {} > {p}", quote(&of(g)))).collect::<Vec<_>>().join(" && ")
    };
    Check::ok_if("governor", WHY, slow == 0, format!("{slow} of {} CPUs are not at performance", now.len()))
        .fixed_by(set(&|_| "performance".into()), set(&str::to_owned))
}

fn irqbalance() -> Check {
    const WHY: &str = "it moves interrupts away from where they were put";
    let comm = |e: std::fs::DirEntry| std::fs::read_to_string(e.path().join("comm")).ok();
    let running =
        std::fs::read_dir("/proc").is_ok_and(|all| all.flatten().filter_map(comm).any(|c| c.trim() == "irqbalance"));
    Check::ok_if("irqbalance off", WHY, !running, if running { "runs" } else { "does not run" })
        .fixed_by("systemctl stop irqbalance".into(), "systemctl start irqbalance".into())
}

fn transparent() -> Check {
    const WHY: &str = "always: the kernel looks for huge pages at the wrong moments; madvise leaves it to programs";
    const PATH: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    let text = line(PATH).unwrap_or_default();
    let Some(now) = text.split('[').nth(1).and_then(|t| t.split(']').next()) else {
        return Check::unknown("transparent huge pages", WHY, "the kernel shows none");
    };
    let set = |to: &str| format!("echo {} > {PATH}", quote(to));
    Check::ok_if("transparent huge pages", WHY, now != "always", now).fixed_by(set("madvise"), set(now))
}

fn reserved() -> Check {
    const WHY: &str =
        "rings and blocks take reserved huge pages where there are some, and do without where there are none";
    const KEY: &str = "vm.nr_hugepages";
    let bytes = u64::from(FRAMES) * u64::from(FRAME_BYTES);
    let (now, page) = (line("/proc/sys/vm/nr_hugepages").and_then(|l| l.parse::<u64>().ok()), page_bytes());
    let (Some(now), Some(page)) = (now, page) else {
        return Check::unknown("huge pages", WHY, "the kernel shows none");
    };
    let want = bytes.div_ceil(page.max(1));
    let set = |n| format!("sysctl -q -w {KEY}={n}");
    let found = format!("{now} of {}, one worker's rings take {want}", crate::units::size(page));
    Check::ok_if("huge pages", WHY, now >= want, found).fixed_by(set(want), set(now))
}

/// Size of a huge page.
fn page_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|l| l.strip_prefix("Hugepagesize:"))?;
    Some(kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn isolated() -> Check {
    const WHY: &str =
        "nothing else runs on isolated CPUs: boot with isolcpus=, nohz_full=, rcu_nocbs= where loss must be excluded";
    let cpus = line("/sys/devices/system/cpu/isolated").unwrap_or_default();
    match cpus.as_str() {
        "" => Check::unknown("isolated CPUs", WHY, "none; a matter of taste"),
        cpus => Check::new("isolated CPUs", WHY, State::Ok, cpus),
    }
}

/// The filesystem below a path, which need not be there yet.
pub(super) fn filesystem(path: &Path) -> Check {
    const WHY: &str = "ext4 and XFS take O_DIRECT writes into preallocated files without a helper thread; give the store one of its own";
    let there = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let Ok(s) = rustix::fs::statfs(there) else { return Check::unknown("filesystem", WHY, path.display().to_string()) };
    // include/uapi/linux/magic.h
    let (name, good) = match s.f_type as u64 {
        0xef53 => ("ext4", Some(true)),
        0x5846_5342 => ("xfs", Some(true)),
        0x9123_683e => ("btrfs: checksums make O_DIRECT slow", Some(false)),
        0x0102_1994 => ("tmpfs: gone at the next boot", Some(false)),
        0x794c_7630 => ("overlayfs: give the store a volume", Some(false)),
        0x6969 => ("nfs: no O_DIRECT to a disk", Some(false)),
        _ => ("not one that was tried", None),
    };
    match good {
        Some(good) => Check::ok_if("filesystem", WHY, good, name),
        None => Check::unknown("filesystem", WHY, name),
    }
}
