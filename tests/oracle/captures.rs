//! The captures under `RETROTAP_TRACES`, read with libpcap.

use std::path::{Path, PathBuf};

/// A packet of a capture.
pub struct Packet {
    /// Unix time, ns; before 1970 counts as 0.
    pub time: u64,
    /// Its length; no less than what was captured.
    pub wire: u32,
    pub data: Vec<u8>,
}

/// A capture, as far as libpcap could read it.
pub struct Capture {
    /// Relative to the folder of captures.
    pub name: String,
    pub path: PathBuf,
    pub link_type: u16,
    pub packets: Vec<Packet>,
    /// Why it broke off.
    pub broken: Option<String>,
    /// A time is negative to libpcap, which reads unsigned fields as signed, or its fraction of a second is none: readers
    /// differ on what it means.
    pub odd_times: bool,
}

/// Calls `each` for every capture; names those that can't be opened. `None`: there are none, said so.
pub fn each(mut each: impl FnMut(Capture)) -> Option<usize> {
    let Some(root) = std::env::var_os("RETROTAP_TRACES").map(PathBuf::from) else {
        eprintln!("skipped: RETROTAP_TRACES names no folder of captures");
        return None;
    };
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut count = 0;
    for path in files {
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        match read(&path, name.clone()) {
            Ok(capture) => {
                if let Some(broken) = &capture.broken {
                    eprintln!("{name}: libpcap broke off after {} packets: {broken}", capture.packets.len());
                }
                count += 1;
                each(capture);
            }
            Err(error) => eprintln!("not read: {name}: {error}"),
        }
    }
    Some(count)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("folder of captures").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "erf") {
            files.push(path);
        }
    }
}

/// Reads one capture.
pub fn read(path: &Path, name: String) -> Result<Capture, pcap::Error> {
    let mut file = pcap::Capture::from_file_with_precision(path, pcap::Precision::Nano)?;
    // libpcap's number for raw IP on this system; LINKTYPE_RAW in files.
    let link_type = match file.get_datalink().0 {
        12 => 101,
        other => other as u16,
    };
    let mut capture =
        Capture { name, path: path.to_path_buf(), link_type, packets: Vec::new(), broken: None, odd_times: false };
    loop {
        match file.next_packet() {
            Ok(packet) => {
                let ts = packet.header.ts;
                capture.odd_times |= ts.tv_sec < 0 || !(0..1_000_000_000).contains(&ts.tv_usec);
                let time = i128::from(ts.tv_sec) * 1_000_000_000 + i128::from(ts.tv_usec);
                let time = u64::try_from(time).unwrap_or(0);
                capture.packets.push(Packet {
                    time,
                    wire: packet.header.len.max(packet.data.len() as u32),
                    data: packet.data.to_vec(),
                });
            }
            Err(pcap::Error::NoMorePackets) => return Ok(capture),
            Err(error) => {
                capture.broken = Some(error.to_string());
                return Ok(capture);
            }
        }
    }
}
