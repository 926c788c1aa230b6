//! The file source: pcap and pcapng, one file after another, as fast as they can be read or at the trace's pace. What
//! libpcap reads comes out byte for byte and in file order; where a file breaks off, everything before is delivered and
//! the rest counted and named ([`FileReport`]). Driven by its one worker. It must never panic, whatever a file holds, nor
//! take more memory than its window.
//!
//! What a pcapng file says beside its packets goes with them: options of packets, interfaces and sections, names and secrets. What can't be
//! kept as it stands in the file is counted and told ([`Changed`]): more than [`SNAPLEN`](crate::limits::SNAPLEN) captured bytes,
//! times before 1970, a length below what was captured, what exceeds a bound.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod behind;
mod beside;
mod clock;
mod pace;
mod pcap;
mod pcapng;
mod record;
mod report;
mod window;

pub use report::{Changed, Fault, FileReport, Progress};

use crate::limits::BATCH_PACKETS;
use crate::metrics::account::Tally;
use crate::source::{InputOptions, Interface, Packet, Polled, Source};
use pace::Pace;
use record::{Interfaces, Record};
use rustix::fs::OFlags;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use window::{Fill, Window};

/// Why a capture file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not there, no permission.
    #[error("cannot open {path}: {why}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
    /// A directory.
    #[error("{path} is a directory: name the capture files in it (-r {path}/*.pcap)")]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The pace is not a positive number.
    #[error("a pace of {0}: it must be above 0 (1.0 is the trace's own pace)")]
    Pace(f64),
}

/// The source.
#[derive(Debug)]
pub struct FileSource {
    todo: VecDeque<PathBuf>,
    open: Option<Open>,
    /// The window's memory between files.
    buffer: Option<Vec<u8>>,
    interfaces: Interfaces,
    pace: Option<Pace>,
    /// The next packet is due then.
    due: Option<Instant>,
    progress: Arc<Progress>,
}

/// The file that is being read.
#[derive(Debug)]
struct Open {
    window: Window,
    format: Format,
    name: String,
    size: Option<u64>,
    /// Until the format is known.
    behind: Vec<behind::Behind>,
    report: FileReport,
}

#[derive(Debug)]
enum Format {
    /// The first bytes are not read yet.
    Unknown,
    Pcap(pcap::Reader),
    Pcapng(Box<pcapng::Reader>),
}

/// What ended a pass over the window.
enum Stop {
    /// The batch is full, or the next packet not due.
    Enough,
    /// The window ends in the middle of a record of at least this size.
    Need(usize),
    Broken(String),
}

impl FileSource {
    /// Takes the files in this order; `-` is standard input. Each is looked at now, so that a name that is wrong is said
    /// before anything is recorded. `pace` 1.0 is the trace's own, `None` as fast as it goes.
    pub fn open(paths: &[PathBuf], pace: Option<f64>) -> Result<FileSource, FileError> {
        let mut total = 0;
        for path in paths.iter().filter(|p| !is_stdin(p)) {
            let open = |why| FileError::Open { path: path.clone(), why };
            let meta = std::fs::metadata(path).map_err(open)?;
            if meta.is_dir() {
                return Err(FileError::Directory { path: path.clone() });
            }
            // A named pipe is not tried: to open and close it would break its writer.
            if meta.is_file() {
                File::open(path).map_err(open)?;
                total += meta.len();
            }
        }
        let pace = match pace {
            Some(rate) if !(rate.is_finite() && rate > 0.0) => return Err(FileError::Pace(rate)),
            pace => pace.map(Pace::new),
        };
        Ok(FileSource {
            todo: paths.iter().cloned().collect(),
            open: None,
            buffer: Some(Window::buffer()),
            interfaces: Interfaces::default(),
            pace,
            due: None,
            progress: Arc::new(Progress::new(total)),
        })
    }

    /// The interfaces that the files begin with, as far as that can be told now: of what comes through a pipe it can't.
    pub fn first_interfaces(&self) -> Vec<Interface> {
        let mut all: Vec<Interface> = Vec::new();
        for path in self.todo.iter().filter(|p| !is_stdin(p) && p.is_file()) {
            let Ok(mut one) = FileSource::open(std::slice::from_ref(path), None) else { continue };
            // What is wrong with it is told when it is read.
            let _ = one.poll(|_, interfaces| {
                for i in interfaces {
                    if !all.contains(i) {
                        all.push(i.clone());
                    }
                }
            });
        }
        all
    }

    /// Counts and reports, for the threads that show them.
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Opens the next file; false: there is none. A file that has gone since the start is reported and passed over.
    fn open_next(&mut self) -> bool {
        while let Some(path) = self.todo.pop_front() {
            let mut report = FileReport::new(&path);
            match open_input(&path) {
                Ok(input) => {
                    let name = match path.file_name() {
                        Some(n) if !is_stdin(&path) => n.to_string_lossy().into_owned(),
                        _ => "stdin".to_owned(),
                    };
                    let size = input.metadata().ok().filter(|m| m.is_file()).map(|m| m.len());
                    let behind = size.map_or_else(Vec::new, |size| behind::read(&input, size));
                    let window = Window::new(input, self.buffer.take().unwrap_or_else(Window::buffer));
                    self.open = Some(Open { window, format: Format::Unknown, name, size, behind, report });
                    return true;
                }
                Err(e) => {
                    report.fault(0, format!("cannot be opened: {e}"));
                    report.broke_off = Some(0);
                    self.progress.done(report);
                }
            }
        }
        false
    }

    /// Puts the open file away; `why` names what broke it off.
    fn close(&mut self, why: Option<String>) {
        let Some(mut open) = self.open.take() else { return };
        if let Format::Pcapng(reader) = &mut open.format {
            reader.end();
            open.report.changed.add(&reader.changed);
        }
        open.report.changed.stood_in = std::mem::take(&mut self.interfaces.stood_in);
        if let Some(why) = why {
            let offset = open.window.offset();
            open.report.fault(offset, why);
            open.report.broke_off = Some(open.size.map_or(0, |s| s.saturating_sub(offset)));
            // What could not be read is at least one record, unless there never was a capture.
            if !matches!(open.format, Format::Unknown) {
                open.report.lost += 1;
                self.progress.add(Tally::default(), 1, 0);
            }
        }
        self.progress.done(open.report);
        self.buffer = Some(open.window.into_buffer());
    }
}

impl Source for FileSource {
    type Error = FileError;

    fn poll(&mut self, step: impl FnOnce(&[Packet<'_>], &[Interface])) -> Result<Polled, FileError> {
        self.due = None;
        let mut step = Some(step); // called at most once: the loop ends with the first packets
        loop {
            let FileSource { open, interfaces, pace, due, progress, .. } = self;
            let Some(open) = open else {
                match self.open_next() {
                    true => continue,
                    false => return Ok(Polled::End),
                }
            };
            const NONE: Packet<'static> =
                Packet { time: 0, wire_len: 0, iface: 0, hash: None, data: &[], options: InputOptions::NONE };
            let mut batch = [NONE; BATCH_PACKETS];
            let mut scan = Scan { packets: 0, bytes: 0, consumed: 0, lost: 0 };
            let stop = open.scan(&mut batch, &mut scan, interfaces, pace.as_mut(), due);
            if scan.packets > 0
                && let Some(step) = step.take()
            {
                step(batch.get(..scan.packets).unwrap_or_default(), interfaces.list());
            }
            open.window.consume(scan.consumed);
            open.report.packets += scan.packets as u64;
            open.report.bytes += scan.bytes;
            open.report.lost += scan.lost;
            progress.add(Tally { packets: scan.packets as u64, bytes: scan.bytes }, scan.lost, scan.consumed);
            match stop {
                Stop::Broken(why) => self.close(Some(why)),
                _ if scan.packets > 0 => {}
                Stop::Enough => return Ok(Polled::Idle),
                Stop::Need(n) => match open.window.fill(n) {
                    Ok(Fill::Ready) => {}
                    Ok(Fill::Wait) => return Ok(Polled::Idle),
                    Ok(Fill::End) => {
                        let why = open.rest(n);
                        self.close(why);
                    }
                    Err(e) => self.close(Some(format!("cannot be read: {e}"))),
                },
            }
            if scan.packets > 0 {
                return Ok(Polled::Packets(scan.packets));
            }
        }
    }

    fn wait(&mut self, timeout_ns: u64) -> Result<(), FileError> {
        let limit = Duration::from_nanos(timeout_ns);
        if let Some(due) = self.due {
            std::thread::sleep(due.saturating_duration_since(Instant::now()).min(limit));
        } else if let Some(open) = &self.open {
            // An error shows again at the next read, which names it.
            let _ = open.window.readable(timeout_ns);
        }
        Ok(())
    }

    /// The rest of the files is not read, which is no fault of theirs.
    fn stop(&mut self) {
        self.close(None);
        self.todo.clear();
    }

    fn interfaces(&self) -> &[Interface] {
        self.interfaces.list()
    }

    fn patient(&self) -> bool {
        true
    }
}

/// What a pass over the window found.
#[derive(Clone, Copy)]
struct Scan {
    packets: usize,
    bytes: u64,
    consumed: u64,
    lost: u64,
}

impl Open {
    /// Reads records at the front of the window into the batch, without reading from the input.
    fn scan<'b>(
        &'b mut self,
        batch: &mut [Packet<'b>; BATCH_PACKETS],
        scan: &mut Scan,
        interfaces: &mut Interfaces,
        mut pace: Option<&mut Pace>,
        due: &mut Option<Instant>,
    ) -> Stop {
        let Open { window, format, name, behind, report, .. } = self;
        let bytes = window.bytes();
        if window.owed() > 0 {
            return Stop::Need(1);
        }
        let now = pace.as_ref().map(|_| Instant::now());
        loop {
            let at = scan.consumed as usize;
            let Some(rest) = bytes.get(at..) else {
                return Stop::Need(1); // the record goes on past the window
            };
            let record = match format {
                Format::Pcap(r) => r.next(rest),
                Format::Pcapng(r) => r.next(rest, interfaces),
                Format::Unknown => match recognise(rest, name, interfaces) {
                    Ok((f, len)) => {
                        *format = f;
                        if let Format::Pcapng(reader) = format {
                            reader.expect(std::mem::take(behind));
                        }
                        Record::Other { len }
                    }
                    Err(stop) => return stop,
                },
            };
            match record {
                Record::Packet { len, packet, odd } => {
                    if let (Some(pace), Some(now)) = (pace.as_deref_mut(), now) {
                        if let Some(wait) = pace.wait(packet.time, now) {
                            *due = now.checked_add(wait);
                            return Stop::Enough;
                        }
                        pace.sent(packet.time);
                    }
                    if !odd.is_none() {
                        report.changed.of_packet(odd);
                    }
                    scan.consumed += len;
                    scan.bytes += u64::from(packet.wire_len);
                    let (first, last) = report.times.unwrap_or((packet.time, packet.time));
                    report.times = Some((first.min(packet.time), last.max(packet.time)));
                    if let Some(place) = batch.get_mut(scan.packets) {
                        *place = packet;
                        scan.packets += 1;
                    }
                    if scan.packets == BATCH_PACKETS {
                        return Stop::Enough;
                    }
                }
                Record::Other { len } => scan.consumed += len,
                Record::Lost { len, why } => {
                    report.fault(window.offset() + scan.consumed, why);
                    scan.lost += 1;
                    scan.consumed += len;
                }
                Record::Broken { why } => return Stop::Broken(why),
                Record::Need(n) => return Stop::Need(n),
            }
        }
    }

    /// At the end of the input, `need` bytes wanted: why what is left is not a record, `None` if nothing is left.
    fn rest(&self, need: usize) -> Option<String> {
        let (left, owed) = (self.window.bytes().len(), self.window.owed());
        match (&self.format, left) {
            _ if owed > 0 => Some(format!("cut off: the last record goes on for {owed} bytes that are missing")),
            (Format::Unknown, 0) => Some("empty: not even a file header".into()),
            (Format::Unknown, _) => Some(format!("cut off in the file header, after {left} bytes")),
            (_, 0) => None,
            _ => Some(format!("cut off: {left} of at least {need} bytes of a record")),
        }
    }
}

/// Finds the format by the first bytes; the length is that of the header to pass over.
fn recognise(bytes: &[u8], name: &str, interfaces: &mut Interfaces) -> Result<(Format, u64), Stop> {
    let Some(magic) = bytes.first_chunk::<4>() else {
        return Err(Stop::Need(4));
    };
    if u32::from_be_bytes(*magic) == pcapng::SECTION {
        return Ok((Format::Pcapng(Box::new(pcapng::Reader::new(name))), 0));
    }
    let Some(order) = pcap::order(*magic) else {
        return Err(Stop::Broken(not_a_capture(magic)));
    };
    let Some(header) = bytes.get(..pcap::HEADER) else {
        return Err(Stop::Need(pcap::HEADER));
    };
    let reader =
        pcap::Reader::new(header, order, |t| interfaces.intern(&Interface::new(name, t))).map_err(Stop::Broken)?;
    Ok((Format::Pcap(reader), pcap::HEADER as u64))
}

/// What a file that is no capture seems to be, and the way out.
fn not_a_capture(magic: &[u8; 4]) -> String {
    let unpack = |tool: &str| format!("compressed: unpack it on the way in ({tool} -dc FILE | retrotap record -r -)");
    match magic {
        [0x1f, 0x8b, ..] => unpack("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => unpack("zstd"),
        [0xfd, b'7', b'z', b'X'] => unpack("xz"),
        [0x04, 0x22, 0x4d, 0x18] => unpack("lz4"),
        [b'B', b'Z', b'h', _] => unpack("bzip2"),
        m => format!(
            "not pcap or pcapng: it begins with {:#010x} (editcap or tcpdump -w may convert it)",
            u32::from_be_bytes(*m)
        ),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open_input(path: &Path) -> io::Result<File> {
    match is_stdin(path) {
        true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        // Not blocking: a named pipe may not have a writer yet. Means nothing for a file.
        false => OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path),
    }
}
