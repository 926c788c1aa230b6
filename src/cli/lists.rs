//! `--hosts-file` and `--nets-file`: addresses and networks that are asked for beside an expression, one a line. Read by the commands that take
//! an expression.

use super::Failure;
use crate::limits::ADDRESS_FILE_BYTES_MAX;
use crate::query::{Addresses, AddressesError};
use crate::units;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The files.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Lists {
    /// Only packets from or to an address of this file: one a line, after # a comment; - is standard input. With FILTER both must hold, after a
    /// `vlan` or the like of it behind that header; several files of hosts and nets are one list. May repeat
    #[arg(long, value_name = "FILE", help_heading = "Which packets")]
    pub hosts_file: Vec<PathBuf>,
    /// The same with networks: 10.1.0.0/16, 2001:db8::/32
    #[arg(long, value_name = "FILE", help_heading = "Which packets")]
    pub nets_file: Vec<PathBuf>,
}

impl Lists {
    /// Reads them, and says how much they have.
    pub fn read(&self) -> Result<Addresses, Failure> {
        let mut all = Addresses::default();
        for path in &self.hosts_file {
            let count = each_line(path, |word| all.host(word))?;
            tracing::info!("{}: {}", name(path), units::several(count, "host"));
        }
        for path in &self.nets_file {
            let count = each_line(path, |word| all.net(word))?;
            tracing::info!("{}: {}", name(path), units::several(count, "network"));
        }
        if all.is_empty() && !(self.hosts_file.is_empty() && self.nets_file.is_empty()) {
            // Not everything: a feed that is empty has nothing that could be found.
            return Err(Failure::usage("the lists have no address and no network: there is nothing to ask for"));
        }
        Ok(all)
    }
}

fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() }
}

/// Gives `take` what stands on each line; how many lines had something.
fn each_line(path: &Path, mut take: impl FnMut(&str) -> Result<(), AddressesError>) -> Result<u64, Failure> {
    let cannot = |e: std::io::Error| Failure::cannot(format_args!("{}: {e}", name(path)));
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(cannot)?),
    };
    reader.take(ADDRESS_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > ADDRESS_FILE_BYTES_MAX {
        let most = units::size(ADDRESS_FILE_BYTES_MAX);
        return Err(Failure::usage(format_args!("{}: longer than {most}, the most that is read", name(path))));
    }
    let mut count = 0;
    for (n, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let word = line.split('#').next().unwrap_or_default().trim();
        if !word.is_empty() {
            take(word).map_err(|e| Failure::usage(format_args!("{}: line {}: {e}", name(path), n + 1)))?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(hosts: &str, nets: &str) -> Result<Addresses, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        Lists { hosts_file: vec![file("hosts", hosts)], nets_file: vec![file("nets", nets)] }.read()
    }

    #[test]
    fn lines_comments_and_blanks() {
        let some =
            read("# a feed\n10.0.0.1\r\n\n  10.0.0.2 # seen twice\n10.0.0.2\n2001:db8::1", "10.1.0.0/16\n").unwrap();
        assert_eq!(some.joined(""), "host 10.0.0.1 or 10.0.0.2 or 2001:db8::1 or net 10.1.0.0/16");
    }

    #[test]
    fn errors_name_the_line() {
        let error = |hosts, nets| read(hosts, nets).unwrap_err().to_string();
        assert!(
            error("10.0.0.1\n\nbad.example\n", "").contains("hosts: line 3: "),
            "{}",
            error("10.0.0.1\n\nbad.example\n", "")
        );
        assert!(error("10.0.0.1\n", "10.0.0.0/8\n10.0.0.1/8").contains("nets: line 2: "));
        assert!(error("# nothing\n", "").contains("nothing to ask for"));
    }
}
