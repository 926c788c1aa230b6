//! The recorders of `bench line`, retrotap first: how each is started, when it is ready, and what it says it captured. All get the
//! same: 256 MiB of buffer (retrotap its defaults), one CPU, the whole packet, a file on the same disk.

use crate::json::Value;
use std::path::Path;

/// A receiver.
pub struct Tool {
    /// Name in tables and for `--tool`.
    pub name: &'static str,
    /// Looked for on the search path, or among the compiled programs.
    pub program: &'static str,
    /// Debian's package; empty: ours.
    pub package: &'static str,
    /// Takes packets from the host's stack: the interface needs a native XDP program that passes them.
    pub passed: bool,
    /// What it does depends on which connections it has seen: the load warms it up before anything is measured.
    pub warms: bool,
    /// Arguments, with the folder for its output.
    pub arguments: fn(&str) -> Vec<String>,
    /// It is at work when it has printed this.
    pub ready: &'static str,
    /// Milliseconds after the load until its counters are complete, at least.
    pub settle_ms: u64,
    /// Packets that it took in, from what it printed and how many were offered; `None` when it does not say.
    pub captured: fn(&str, u64) -> Option<u64>,
}

/// Everything that `bench line` measures.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "drop",
        program: "examples/bare",
        package: "",
        passed: false,
        warms: false,
        arguments: |_| words("--iface tap0 --how drop"),
        ready: "ready",
        settle_ms: 600,
        captured: |_, offered| Some(offered),
    },
    Tool {
        name: "xsk",
        program: "examples/bare",
        package: "",
        passed: false,
        warms: false,
        arguments: |_| words("--iface tap0 --how xsk"),
        ready: "ready",
        settle_ms: 600,
        captured: |out, _| last(out)?.number("received.packets").ok(),
    },
    Tool {
        name: "retrotap",
        program: "retrotap",
        package: "",
        passed: false,
        warms: true,
        arguments: |dir| words(&format!("record -i tap0 --source xdp --json --log-interval 500ms --store {dir}/store")),
        ready: "\"kind\":\"interval\"",
        settle_ms: 600,
        captured: accounted,
    },
    Tool {
        name: "retrotap-packet",
        program: "retrotap",
        package: "",
        passed: true,
        warms: true,
        arguments: |dir| {
            words(&format!("record -i tap0 --source packet --json --log-interval 500ms --store {dir}/store"))
        },
        ready: "\"kind\":\"interval\"",
        settle_ms: 600,
        captured: accounted,
    },
    Tool {
        name: "tcpdump",
        program: "tcpdump",
        package: "tcpdump",
        passed: true,
        warms: false,
        arguments: |dir| words(&format!("-i tap0 -n -Z root -B 262144 -w {dir}/out.pcap")),
        ready: "listening on",
        settle_ms: 600,
        captured: |out, _| before(out, " packets captured"),
    },
    Tool {
        name: "dumpcap",
        program: "dumpcap",
        package: "wireshark-common",
        passed: true,
        warms: false,
        arguments: |dir| words(&format!("-i tap0 -q -B 256 -w {dir}/out.pcapng")),
        ready: "File: ",
        settle_ms: 600,
        captured: |out, _| after(out, "Packets captured: "),
    },
    Tool {
        name: "netsniff-ng",
        program: "netsniff-ng",
        package: "netsniff-ng",
        passed: true,
        warms: false,
        arguments: |dir| words(&format!("--in tap0 --out {dir}/out.pcap --silent --clrw --ring-size 256MiB")),
        ready: "Running!",
        settle_ms: 600,
        captured: |out, _| before(out, "  packets passed filter"),
    },
    Tool {
        name: "stenotype",
        program: "stenotype",
        package: "stenographer",
        passed: true,
        warms: false,
        arguments: |dir| {
            // Without a block a second the last packets of a run would wait for their block to fill.
            words(&format!(
                "--iface=tap0 --dir={dir} --threads=1 --seccomp=none --uid=root --gid=root -v -v --stats_sec=1 --blocks=256 --blockage_sec=1"
            ))
        },
        ready: "Waiting for index",
        settle_ms: 2500,
        captured: |out, _| after(out.rsplit_once("stats: MB=")?.1, "packets="),
    },
];

/// Arguments, separated by a space each.
pub fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

/// The JSON object on the last line.
pub fn last(out: &str) -> Option<Value> {
    Value::parse(out.lines().last()?).ok()
}

/// Of retrotap: every packet that it saw and did not lose, stored or cut.
pub fn accounted(out: &str, _: u64) -> Option<u64> {
    let account = last(out)?;
    account.number("seen.packets").ok()?.checked_sub(account.number("lost_packets").ok()?)
}

/// The number that stands before these words.
fn before(out: &str, words: &str) -> Option<u64> {
    out.split_once(words)?.0.split_whitespace().last()?.parse().ok()
}

/// The number that stands after these words.
fn after(out: &str, words: &str) -> Option<u64> {
    let rest = out.split_once(words)?.1;
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// What has to be there before the tool starts.
pub fn prepare(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    // stenotype wants its folders made.
    std::fs::create_dir_all(folder.join("PKT0"))?;
    std::fs::create_dir_all(folder.join("IDX0"))
}

#[cfg(test)]
mod tests {
    use super::TOOLS;

    #[test]
    fn what_the_tools_print_is_understood() {
        let said = [
            (
                "tcpdump",
                "tcpdump: listening on tap0\n25104 packets captured\n25110 packets received by filter\n6 packets dropped by kernel\n",
                25104,
            ),
            (
                "dumpcap",
                "File: x\nPackets captured: 25152\nPackets received/dropped on interface 'tap0': 25152/0 (pcap:0)\n",
                25152,
            ),
            (
                "netsniff-ng",
                "Running! Hang up with ^C!\n\n       25120  packets incoming (0 unread on exit)\n       25119  packets passed filter\n",
                25119,
            ),
            (
                "stenotype",
                "Thread 0 stats: MB=1 secs=1 packets=963 blocks=1 drops=0\nx stats: MB=15 secs=2 packets=14557 blocks=15 drops=0 drop%=0\n",
                14557,
            ),
            ("xsk", "ready\n{\"received\":{\"packets\":7,\"bytes\":9}}\n", 7),
            ("retrotap", "{}\n{\"seen\":{\"packets\":10},\"lost_packets\":3}\n", 7),
        ];
        for (name, out, expected) in said {
            let tool = TOOLS.iter().find(|t| t.name == name).unwrap();
            assert_eq!((tool.captured)(out, 0), Some(expected), "{name}");
            assert_eq!((tool.captured)("nothing", 0), None, "{name}");
        }
    }
}
