//! Which system calls a process may make: the lists, and how the kernel is told (seccomp(2), by `seccompiler`). What a list refuses is EPERM, so
//! that one which was forgotten costs what asked for it and not the process; what nobody asks for who has not been taken over ends it. Whatever a
//! process starts has its lists too. Never undone.

use libc::c_long;
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};
use std::collections::BTreeMap;
use std::error::Error;

/// System calls by number; none of these rules: whatever its arguments are.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;
/// What they are for, and they.
type Group = (&'static str, &'static [c_long]);

/// Nobody in a recorder makes them: into other processes, into the kernel, out of what the process was put into.
const OF_NOBODY: &[Group] = &[
    (
        "memory and files of other processes",
        &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
        ],
    ),
    (
        "another kernel, or code in this one",
        &[
            libc::SYS_kexec_load,
            libc::SYS_kexec_file_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
        ],
    ),
    (
        "other filesystems",
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_fsopen,
            libc::SYS_fsmount,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_open_by_handle_at,
        ],
    ),
    ("other namespaces", &[libc::SYS_setns, libc::SYS_unshare]),
    ("keys of the kernel", &[libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key]),
    ("what holes of the kernel are opened with", &[libc::SYS_userfaultfd, libc::SYS_perf_event_open]),
    ("the machine", &[libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct]),
];

/// Only capture makes them. A ring does what no list sees.
const OF_CAPTURE: &[Group] = &[
    ("programs in the kernel", &[libc::SYS_bpf]),
    ("rings of the writers", &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register]),
];

/// All that serve and the filter compilers that it starts make, whatever the arguments are.
const OF_SERVE: &[Group] = &[
    (
        "what is open is read, written and closed",
        &[
            libc::SYS_read,
            libc::SYS_readv,
            libc::SYS_pread64,
            libc::SYS_preadv,
            libc::SYS_preadv2,
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_pwrite64,
            libc::SYS_pwritev,
            libc::SYS_pwritev2,
            libc::SYS_lseek,
            libc::SYS_close,
            libc::SYS_close_range,
            libc::SYS_dup,
            libc::SYS_dup3,
            libc::SYS_fcntl,
            libc::SYS_flock,
            libc::SYS_copy_file_range,
            libc::SYS_sendfile,
            libc::SYS_splice,
            libc::SYS_pipe2,
        ],
    ),
    (
        "files; which ones says Landlock",
        &[
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
            libc::SYS_statfs,
            libc::SYS_fstatfs,
            libc::SYS_faccessat,
            libc::SYS_faccessat2,
            libc::SYS_readlinkat,
            libc::SYS_getdents64,
            libc::SYS_getcwd,
            libc::SYS_chdir,
            libc::SYS_mkdirat,
            libc::SYS_unlinkat,
            libc::SYS_linkat,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_ftruncate,
            libc::SYS_fallocate,
            libc::SYS_fadvise64,
            libc::SYS_readahead,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_sync_file_range,
            libc::SYS_fchmod,
            libc::SYS_fchmodat,
            libc::SYS_fchown,
            libc::SYS_fchownat,
            libc::SYS_utimensat,
            libc::SYS_umask,
            libc::SYS_getxattr,
            libc::SYS_fgetxattr,
        ],
    ),
    (
        "memory",
        &[
            libc::SYS_brk,
            libc::SYS_mmap,
            libc::SYS_mremap,
            libc::SYS_munmap,
            libc::SYS_mprotect,
            libc::SYS_madvise,
            libc::SYS_mincore,
            libc::SYS_msync,
            libc::SYS_mlock,
            libc::SYS_munlock,
            libc::SYS_memfd_create,
        ],
    ),
    (
        "connections; of which families says a rule of its own",
        &[
            libc::SYS_socketpair,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
            libc::SYS_connect,
            libc::SYS_shutdown,
            libc::SYS_getsockname,
            libc::SYS_getpeername,
            libc::SYS_getsockopt,
            libc::SYS_setsockopt,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
        ],
    ),
    (
        "waiting",
        &[
            libc::SYS_futex,
            libc::SYS_ppoll,
            libc::SYS_pselect6,
            libc::SYS_epoll_create1,
            libc::SYS_epoll_ctl,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
            libc::SYS_eventfd2,
            libc::SYS_nanosleep,
            libc::SYS_clock_nanosleep,
            libc::SYS_clock_gettime,
            libc::SYS_clock_getres,
            libc::SYS_gettimeofday,
            libc::SYS_sched_yield,
            libc::SYS_restart_syscall,
        ],
    ),
    (
        "threads and what they begin with; clone has a rule of its own",
        &[
            libc::SYS_set_tid_address,
            libc::SYS_set_robust_list,
            libc::SYS_get_robust_list,
            libc::SYS_rseq,
            libc::SYS_membarrier,
            libc::SYS_prctl,
            libc::SYS_capget,
            libc::SYS_capset,
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_getscheduler,
            libc::SYS_sched_getparam,
            libc::SYS_getpriority,
            libc::SYS_getcpu,
        ],
    ),
    (
        "signals; to whom says Landlock. Its end, and that of its compilers",
        &[
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_sigaltstack,
            libc::SYS_kill,
            libc::SYS_tgkill,
            libc::SYS_tkill,
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_wait4,
            libc::SYS_waitid,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_send_signal,
        ],
    ),
    ("its compilers are its own program, which is all that Landlock lets it run", &[libc::SYS_execve]),
    (
        "who and where it is",
        &[
            libc::SYS_getpid,
            libc::SYS_gettid,
            libc::SYS_getppid,
            libc::SYS_getuid,
            libc::SYS_geteuid,
            libc::SYS_getgid,
            libc::SYS_getegid,
            libc::SYS_getgroups,
            libc::SYS_getresuid,
            libc::SYS_getresgid,
            libc::SYS_uname,
            libc::SYS_sysinfo,
            libc::SYS_getrusage,
            libc::SYS_times,
            libc::SYS_getrandom,
        ],
    ),
];

/// The same by the names that only this architecture has, which the C library still uses.
#[cfg(target_arch = "x86_64")]
const OF_OLD: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_link,
    libc::SYS_rename,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OF_OLD: &[c_long] = &[];

/// Flags of clone(2) that make namespaces: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NAMESPACES: u64 = 0x7e02_0000;

/// Those that are allowed with some arguments only.
fn with_arguments() -> Result<Rules, Box<dyn Error>> {
    let is =
        |argument, value| Ok::<_, Box<dyn Error>>(SeccompCondition::new(argument, Dword, SeccompCmpOp::Eq, value)?);
    let one_of = |argument, values: &[u64]| -> Result<Vec<SeccompRule>, Box<dyn Error>> {
        values.iter().map(|value| Ok(SeccompRule::new(vec![is(argument, *value)?])?)).collect()
    };
    // Threads and processes, but no namespaces: in one of its own a user is its root.
    let no_namespace = SeccompCondition::new(0, Qword, SeccompCmpOp::MaskedEq(NAMESPACES), 0)?;
    // Those of the machine's own: no raw packets, no AF_XDP, no ciphers of the kernel. NETLINK is how the C library learns its addresses.
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(|f| f as u64);
    // No terminal is typed into.
    let ioctls = [libc::FIONBIO, libc::FIONREAD, libc::TCGETS, libc::TIOCGWINSZ];
    // Of itself, not of capture.
    let own = || one_of(0, &[0]);
    Ok(BTreeMap::from([
        (libc::SYS_clone, vec![SeccompRule::new(vec![no_namespace])?]),
        (libc::SYS_socket, one_of(0, &families)?),
        (libc::SYS_ioctl, one_of(1, &ioctls)?),
        (libc::SYS_prlimit64, own()?),
        (libc::SYS_sched_setscheduler, own()?),
        (libc::SYS_sched_setaffinity, own()?),
        (libc::SYS_setpriority, vec![SeccompRule::new(vec![is(0, libc::PRIO_PROCESS.into())?, is(1, 0)?])?]),
        (libc::SYS_ioprio_set, vec![SeccompRule::new(vec![is(0, 1)?, is(1, 0)?])?]),
    ]))
}

/// No process of a recorder, nor what it starts, makes the calls of nobody: they are EPERM.
pub fn without_dangerous() {
    let deny = SeccompAction::Errno(libc::EPERM as u32);
    said("what no recorder calls", apply(plain(OF_NOBODY), deny, SeccompAction::Allow));
}

/// This process, which is serve, makes the calls of its list from now on. Before it has threads.
pub fn of_serve() {
    let confined = || -> Result<(), Box<dyn Error>> {
        let kill = plain(OF_NOBODY).into_iter().chain(plain(OF_CAPTURE)).collect();
        apply(kill, SeccompAction::KillProcess, SeccompAction::Allow)?;
        // Its flags lie in memory, where no filter sees them: the C library goes on with clone.
        let lacks = SeccompAction::Errno(libc::ENOSYS as u32);
        apply(Rules::from([(libc::SYS_clone3, Vec::new())]), lacks, SeccompAction::Allow)?;
        let mut all = plain(OF_SERVE);
        all.extend(OF_OLD.iter().map(|call| (*call, Vec::new())));
        // As the filter above says, and not this one.
        all.insert(libc::SYS_clone3, Vec::new());
        all.extend(with_arguments()?);
        apply(all, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
    };
    said("what serve does not call", confined());
}

fn plain(groups: &[Group]) -> Rules {
    groups.iter().flat_map(|(_, calls)| calls.iter().map(|call| (*call, Vec::new()))).collect()
}

/// Of all threads of this process, from now on.
fn apply(rules: Rules, then: SeccompAction, otherwise: SeccompAction) -> Result<(), Box<dyn Error>> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, then, arch)?.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}

fn said(what: &str, done: Result<(), Box<dyn Error>>) {
    if let Err(e) = done {
        tracing::warn!("the kernel does not refuse {what} (seccomp): {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No list says of a call what another says otherwise, and all become programs.
    #[test]
    fn each_call_is_in_one_list() {
        let lists = [OF_NOBODY, OF_CAPTURE, OF_SERVE].concat();
        let mut all: Vec<c_long> = lists.iter().flat_map(|(_, calls)| calls.iter().copied()).collect();
        all.extend(OF_OLD);
        let special = with_arguments().unwrap();
        all.extend(special.keys());
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        for arch in [TargetArch::x86_64, TargetArch::aarch64] {
            let rules = plain(OF_SERVE).into_iter().chain(with_arguments().unwrap()).collect();
            let filter = SeccompFilter::new(rules, SeccompAction::Errno(1), SeccompAction::Allow, arch).unwrap();
            assert!(!BpfProgram::try_from(filter).unwrap().is_empty());
        }
    }
}
