//! A look at the interfaces before anything is changed: which source suits them, how many workers they take.

use super::Error;
use crate::iface::{self, Choice, Host, Link, Reason, Request};
use crate::limits::{IFACES_MAX, WORKERS_MAX};

/// One interface as it was found.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// What it is.
    pub link: Link,
    /// Receive queues in use.
    pub queues: u32,
    /// Its driver, where it tells.
    pub driver: Option<String>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The interfaces, in the order given.
    pub tapped: Vec<Tapped>,
    /// The source for them.
    pub xdp: bool,
    /// Why it is `packet` although it was not asked for.
    pub reasons: Vec<Reason>,
}

impl Survey {
    /// Looks at `names`.
    pub fn new(names: &[String], request: Request) -> Result<Survey, Error> {
        if names.is_empty() || names.len() > IFACES_MAX {
            return Err(Error::Count(names.len()));
        }
        if let Some(twice) = names.iter().enumerate().find_map(|(i, n)| names.iter().skip(i + 1).find(|m| *m == n)) {
            return Err(Error::Twice(twice.clone()));
        }
        let tapped: Vec<Tapped> = names.iter().map(|n| tapped(Link::by_name(n)?)).collect::<Result<_, Error>>()?;
        let host = Host::now().map_err(|source| iface::Error::Kernel {
            name: names.join(", "),
            what: "reading links and addresses",
            source,
        })?;
        let links: Vec<(Link, u32)> = tapped.iter().map(|t| (t.link.clone(), t.queues)).collect();
        let choice = iface::choose(request, &links, &host)?;
        let (xdp, reasons) = match choice {
            Choice::Xdp => (true, Vec::new()),
            Choice::Packet(reasons) => (false, reasons),
        };
        Ok(Survey { tapped, xdp, reasons })
    }

    /// Workers unless configured: one a queue of the interface with the most (`xdp`), or half the processors (`packet`).
    pub fn workers(&self) -> usize {
        let n = if self.xdp {
            self.tapped.iter().map(|t| t.queues as usize).max().unwrap_or(1)
        } else {
            std::thread::available_parallelism().map_or(1, |n| n.get() / 2).min(8)
        };
        n.clamp(1, WORKERS_MAX)
    }
}

pub(super) fn tapped(link: Link) -> Result<Tapped, Error> {
    let queues = iface::queues(&link.name).unwrap_or(link.rx_queues).max(1);
    let driver = iface::driver(&link.name);
    Ok(Tapped { link, queues, driver })
}
