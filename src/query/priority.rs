//! A query costs no packet: its threads run only when nothing else wants the processor or the disk. What memory answers waits for the disk
//! alone. Called once by whoever is about to query. Linux scheduling classes: sched(7), ioprio_set(2).
#![allow(unsafe_code)]

/// `IOPRIO_WHO_PROCESS` and the idle class, `IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT` (linux/ioprio.h).
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_IDLE: libc::c_int = 3 << 13;

/// SCHED_IDLE and the idle I/O class for the calling thread and those that it starts. What the system refuses stays as it is.
pub fn idle() {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` lives for the call; 0 is the calling thread; the priority of SCHED_IDLE is 0.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &param) };
    idle_disk();
}

/// The idle I/O class alone, for threads that answer from memory: on a machine without an idle moment one of SCHED_IDLE may wait
/// for seconds. Workers run at nice -20, so that such a thread takes nothing from them.
pub fn idle_disk() {
    // SAFETY: a system call with three integers and no memory.
    unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE) };
}
