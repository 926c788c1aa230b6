//! A network namespace with a veth pair, removed again when dropped, whatever happens in between.

use crate::shell;
use std::process::Command;

/// Names are this and the process that owns the namespace.
const PREFIX: &str = "retrotap-demo-";

/// The namespace; needs root.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it, with `tap0` (to record from) and `gen0` (to send into). IPv6 is off in it, so that no packet is there but
    /// those of the load.
    pub fn new() -> Result<Namespace, String> {
        remove_left_over();
        let name = &format!("{PREFIX}{}", std::process::id());
        shell::output(Command::new("ip").args(["netns", "add", name]))?;
        let this = Namespace { name: name.clone() };
        let v6 = "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6 || true; done";
        shell::output(this.command("sh").args(["-c", v6]))?;
        for words in ["link add gen0 type veth peer name tap0", "link set gen0 up", "link set tap0 up"] {
            shell::output(Command::new("ip").args(["-n", name]).args(words.split(' ')))?;
        }
        Ok(this)
    }

    /// A command inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        shell::quiet("ip", &["netns", "del", &self.name]);
    }
}

/// Removes what interrupted runs left: namespaces whose process is gone.
fn remove_left_over() {
    let list = shell::output(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    for name in list.lines().filter_map(|l| l.split_whitespace().next()) {
        if name.strip_prefix(PREFIX).is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            shell::quiet("ip", &["netns", "del", name]);
        }
    }
}
