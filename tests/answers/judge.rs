//! libpcap as the judge of expressions: packets go into a capture file and are read back through it, as `tcpdump -r FILE EXPRESSION` does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A link type for which libpcap refuses an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusing {
    pub link: u16,
    /// Because none of its packets can match: none is missing.
    pub never: bool,
}

/// Packets of one link type in a capture file, by number.
pub struct Judge {
    dir: PathBuf,
    files: Vec<(u16, PathBuf, Vec<usize>)>,
}

impl Judge {
    /// Of packets (link type, wire length, bytes).
    pub fn new<'a>(dir: &Path, name: &str, packets: impl Iterator<Item = (u16, u32, &'a [u8])>) -> Judge {
        let mut files: Vec<(u16, Vec<u8>, Vec<usize>)> = Vec::new();
        for (number, (link, wire, data)) in packets.enumerate() {
            let at = files.iter().position(|f| f.0 == link).unwrap_or_else(|| {
                files.push((link, header(link), Vec::new()));
                files.len() - 1
            });
            let file = &mut files[at];
            // The place in the file is the time, so that a packet read back is known.
            let place = file.2.len() as u32;
            for n in [place, 0, data.len() as u32, wire] {
                file.1.extend(n.to_le_bytes());
            }
            file.1.extend(data);
            file.2.push(number);
        }
        let written = files.into_iter().map(|(link, bytes, numbers)| {
            let path = dir.join(format!("{name}-{link}.pcap"));
            std::fs::write(&path, bytes).expect("a capture file");
            (link, path, numbers)
        });
        Judge { dir: dir.to_owned(), files: written.collect() }
    }

    /// Numbers of the packets that match, sorted; `None`: libpcap refuses the expression for every link type there is.
    pub fn matching(&self, expression: &str) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        let mut taken = self.files.is_empty();
        for (_, path, numbers) in &self.files {
            let mut capture = pcap::Capture::from_file(path).expect("our own capture");
            if capture.filter(expression, true).is_err() {
                continue;
            }
            taken = true;
            loop {
                match capture.next_packet() {
                    Ok(p) => found.push(numbers[p.header.ts.tv_sec as usize]),
                    Err(pcap::Error::NoMorePackets) => break,
                    Err(e) => panic!("{}: {e}", path.display()),
                }
            }
        }
        found.sort_unstable();
        taken.then_some(found)
    }

    /// Link types for which libpcap refuses the expression, and why.
    pub fn refusing(&self, expression: &str) -> Vec<Refusing> {
        let links = self.files.iter().map(|(link, ..)| *link);
        links.filter_map(|link| self.refusal(expression, link).map(|only| Refusing { link, never: only })).collect()
    }

    /// Libpcap refuses the expression for a link type: true if it is because none of its packets can match.
    fn refusal(&self, expression: &str, link: u16) -> Option<bool> {
        let path = self.dir.join(format!("empty-{link}.pcap"));
        if !path.exists() {
            std::fs::write(&path, header(link)).expect("a capture file");
        }
        let mut capture = pcap::Capture::from_file(&path).expect("our own capture");
        let error = capture.filter(expression, true).err()?;
        Some(error.to_string().contains("rejects all packets"))
    }

    /// The same by the program itself; `Err`: it is not installed.
    pub fn tcpdump(&self, expression: &str) -> std::io::Result<Option<Vec<usize>>> {
        let mut found = Vec::new();
        let mut taken = self.files.is_empty();
        for (_, path, numbers) in &self.files {
            let out = path.with_extension("tcpdump");
            let mut command = Command::new("tcpdump");
            command.args(["--time-stamp-precision=nano", "-r"]).arg(path).arg("-w").arg(&out).arg(expression);
            if !command.stdin(Stdio::null()).stderr(Stdio::null()).status()?.success() {
                continue;
            }
            taken = true;
            let mut capture = pcap::Capture::from_file(&out).expect("tcpdump's own capture");
            while let Ok(p) = capture.next_packet() {
                found.push(numbers[p.header.ts.tv_sec as usize]);
            }
        }
        found.sort_unstable();
        Ok(taken.then_some(found))
    }

    /// Whether libpcap takes the expression for Ethernet.
    pub fn takes(&self, expression: &str) -> bool {
        self.refusal(expression, 1).is_none()
    }

    /// The same for what tunnels have in them.
    pub fn takes_inside(&self, expression: &str) -> bool {
        self.takes(expression) || self.refusal(expression, 101).is_none()
    }
}

/// Nanoseconds, little endian.
fn header(link: u16) -> Vec<u8> {
    [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, u32::from(link)].iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// One packet and some expressions: which of them match; one that libpcap refuses for the link does not.
pub struct Filters(Vec<(u16, Vec<Option<pcap::BpfProgram>>)>);

impl Filters {
    pub fn new(links: &[u16], expressions: &[&str], dir: &Path) -> Filters {
        let of = |link: &u16| {
            let path = dir.join(format!("link-{link}.pcap"));
            std::fs::write(&path, header(*link)).expect("a capture file");
            let capture = pcap::Capture::from_file(&path).expect("our own capture");
            (*link, expressions.iter().map(|e| capture.compile(e, true).ok()).collect())
        };
        Filters(links.iter().map(of).collect())
    }

    /// By number of the expression. None of them asks for the length on the wire.
    pub fn matches(&self, link: u16, number: usize, data: &[u8]) -> bool {
        let of_link = self.0.iter().find(|(l, _)| *l == link).map(|(_, programs)| &programs[number]);
        of_link.is_some_and(|p| p.as_ref().is_some_and(|p| p.filter(data)))
    }
}
