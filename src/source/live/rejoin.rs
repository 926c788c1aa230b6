//! An interface that vanished and is there again, with another index: the kernel program is loaded once more for it over
//! the same maps, and the workers get new sockets in place of the dead ones. Nothing is counted anew.

use super::feed::Feed;
use super::start::{Engine, PacketEngine, Place, XdpEngine, open_port, open_taps};
use super::survey::tapped;
use super::{Error, Live, Tapped};
use crate::bpf::attach::{Mode, attach};
use crate::iface::Link;
use crate::iface::prepare::Wish;
use crate::source::packet;

impl Live {
    /// Records interface `i` of the list again, which now is `link`.
    pub(super) fn rejoin(&mut self, i: usize, link: Link) -> Result<(), Error> {
        let now = tapped(link)?;
        let mut all = self.tapped.clone();
        match all.get_mut(i) {
            // Its queues have their places in the list of interfaces, which can't change any more.
            Some(was) if was.queues == now.queues && was.link.hardware == now.link.hardware => *was = now.clone(),
            _ => return Err(Error::Gone(now.link.name)),
        }
        let offloads_off = matches!(self.engine, Engine::Xdp(_));
        self.prepared.prepare(&now.link, Wish { promiscuous: true, offloads_off })?;
        match &mut self.engine {
            Engine::Xdp(engine) => engine.rejoin(&self.feed, i, &all, &now)?,
            Engine::Packet(engine) => engine.rejoin(&self.feed, i, &all, &now)?,
        }
        self.tapped = all;
        Ok(())
    }
}

impl XdpEngine {
    fn rejoin(&mut self, feed: &Feed, i: usize, all: &[Tapped], now: &Tapped) -> Result<(), Error> {
        self.program.reload(&self.plan.settings(all))?;
        let attached = attach(self.program.program(), &now.link.name, now.link.index)?;
        let native = matches!(attached.mode, Mode::Native);
        {
            let mut open = feed.open();
            open.attached.retain(|(slot, _)| *slot != i);
            open.attached.push((i, attached));
        }
        let before: u32 = all.iter().take(i).map(|t| t.queues).sum();
        for queue in 0..now.queues {
            let interface = (before + queue) as u16;
            let received = self.received.get(usize::from(interface)).cloned().unwrap_or_default();
            let place = Place { slot: i, queue, interface };
            let (port, view) = open_port(&self.program, now, place, received, &self.config, native)?;
            self.ports.push(view);
            if let Some(inbox) = self.inboxes.get(queue as usize % self.inboxes.len().max(1)) {
                let _ = inbox.push(port);
            }
        }
        Ok(())
    }
}

impl PacketEngine {
    fn rejoin(&mut self, feed: &Feed, i: usize, all: &[Tapped], now: &Tapped) -> Result<(), Error> {
        self.program.reload(&self.plan.settings(all))?;
        let at = |step| move |source| packet::Error { interface: now.link.name.clone(), step, source };
        let bytes = self.plan.packet_ring_bytes(all.len());
        let opened = open_taps(now, i, self.inboxes.len(), bytes)?;
        self.levels.retain(|(of, _)| *of != i);
        for ((tap, socket), inbox) in opened.into_iter().zip(&self.inboxes) {
            feed.open().sockets.push(socket.another().map_err(at("dup"))?);
            socket.filter(self.program.program()).map_err(at("socket filter"))?;
            self.sockets.push((i, socket));
            self.levels.push((i, tap.ring.level()));
            let _ = inbox.push(tap);
        }
        Ok(())
    }
}
