//! `cargo xtask setup`: what a machine needs to build, demonstrate and test the project, and how Debian and Ubuntu
//! call it. Looks for the things themselves, not for packages, so that it is instant and silent when nothing is missing.

use crate::shell;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

/// For what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Compiling the product.
    Build,
    /// And the demo.
    Demo,
    /// And all tests.
    Test,
}

enum Probe {
    /// A program on the search path.
    Program(&'static str),
    /// One of these files.
    File(&'static [&'static str]),
    /// A component of the Rust toolchain, by the cargo command that it brings.
    Component(&'static str),
    /// A program that cargo builds, from crates.io.
    Crate(&'static str),
}

struct Need {
    probe: Probe,
    /// apt's package, rustup's component, or a crate with its version.
    package: &'static str,
    scope: Scope,
    why: &'static str,
    /// Tests that need it say `skipped` when it can't be had.
    optional: bool,
}

const fn need(probe: Probe, package: &'static str, scope: Scope, why: &'static str) -> Need {
    Need { probe, package, scope, why, optional: false }
}

use Probe::{Component, Crate, File, Program};

const NEEDS: &[Need] = &[
    need(Program("cc"), "gcc", Scope::Build, "links Rust programs, compiles libbpf"),
    need(File(&["/usr/include/stdio.h"]), "libc6-dev", Scope::Build, "the C library's headers"),
    need(Program("make"), "make", Scope::Build, "builds libbpf"),
    need(Program("pkg-config"), "pkg-config", Scope::Build, "finds libelf, zlib and libpcap"),
    need(Program("clang"), "clang", Scope::Build, "compiles the XDP program"),
    need(File(&["/usr/include/linux/bpf.h"]), "linux-libc-dev", Scope::Build, "the kernel's user headers"),
    need(File(&["/usr/include/libelf.h"]), "libelf-dev", Scope::Build, "libbpf reads ELF objects"),
    need(File(&["/usr/include/zlib.h"]), "zlib1g-dev", Scope::Build, "libelf needs it"),
    need(
        File(&["/usr/include/pcap/pcap.h", "/usr/include/pcap.h"]),
        "libpcap-dev",
        Scope::Build,
        "compiles pcap-filter expressions",
    ),
    need(Program("ip"), "iproute2", Scope::Demo, "makes the network namespace and the veth pair"),
    need(Program("ethtool"), "ethtool", Scope::Test, "offloads and queues of test interfaces"),
    need(Program("tcpdump"), "tcpdump", Scope::Test, "what queries are compared with"),
    need(Program("curl"), "curl", Scope::Test, "asks the recorder's socket as somebody else"),
    need(Program("setpriv"), "util-linux", Scope::Test, "is somebody else"),
    need(Program("tshark"), "tshark", Scope::Test, "reads sealed segments"),
    need(Program("capinfos"), "wireshark-common", Scope::Test, "reads sealed segments"),
    Need { optional: true, ..need(Program("fio"), "fio", Scope::Test, "what bench disk compares with") },
    Need {
        optional: true,
        ..need(Program("valgrind"), "valgrind", Scope::Test, "bench step counts instructions with it")
    },
    need(Program("clang-format"), "clang-format", Scope::Test, "the format of ebpf/"),
    Need { optional: true, ..need(Program("suricata"), "suricata", Scope::Test, "reads segments and holds; steers") },
    Need {
        optional: true,
        ..need(Program("promtool"), "prometheus", Scope::Test, "scrapes the metrics; checks rules")
    },
    Need { optional: true, ..need(Program("systemd-analyze"), "systemd", Scope::Test, "reads the units of tuning/") },
    Need { optional: true, ..need(Program("shellcheck"), "shellcheck", Scope::Test, "reads the scripts of tuning/") },
    need(Component("fmt"), "rustfmt", Scope::Test, "the format of Rust files"),
    need(Component("clippy"), "clippy", Scope::Test, "the lint wall"),
    Need { optional: true, ..need(Program("c++"), "g++", Scope::Test, "libFuzzer is C++") },
    Need { optional: true, ..need(Crate("cargo-fuzz"), CARGO_FUZZ, Scope::Test, "tries parsers with any bytes") },
    need(Crate("cargo-deny"), CARGO_DENY, Scope::Test, "licences, advisories and sources of the dependencies"),
];

/// The versions that the repository was tried with.
pub const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";
pub const CARGO_DENY: &str = "cargo-deny@0.20.2";

fn missing(need: &Need) -> bool {
    match need.probe {
        Program(name) | Crate(name) => shell::find(name).is_none(),
        File(paths) => !paths.iter().any(|p| Path::new(p).exists()),
        Component(name) => !shell::quiet("cargo", &[name, "--version"]),
    }
}

/// Installs what `scope` needs and is not there, or says what that is and fails.
pub fn ensure(scope: Scope, install: bool) -> Result<(), String> {
    let absent: Vec<&Need> = NEEDS.iter().filter(|n| n.scope <= scope && missing(n)).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let (components, others): (Vec<&Need>, Vec<&Need>) =
        absent.iter().copied().partition(|n| matches!(n.probe, Component(_)));
    let (crates, packages): (Vec<&Need>, Vec<&Need>) = others.into_iter().partition(|n| matches!(n.probe, Crate(_)));
    println!("setup: missing on this machine:");
    for n in &absent {
        let kind = match n.probe {
            Component(_) => "rustup",
            Crate(_) => "cargo",
            _ => "apt",
        };
        println!("  {kind:6} {:18} {}{}", n.package, n.why, if n.optional { " (optional)" } else { "" });
    }
    let required: Vec<&str> = packages.iter().filter(|n| !n.optional).map(|n| n.package).collect();
    let optional: Vec<&str> = packages.iter().filter(|n| n.optional).map(|n| n.package).collect();
    if !install {
        if absent.iter().all(|n| n.optional) {
            println!("setup: nothing that is required is missing");
            return Ok(());
        }
        return Err(format!(
            "--no-install: nothing was installed. To install it: {}",
            advice(&packages, &components, &crates)
        ));
    }
    if !packages.is_empty() && shell::find("apt-get").is_none() {
        if required.is_empty() {
            println!("setup: going on without {}", optional.join(" "));
        } else {
            return Err(format!(
                "this machine has no apt-get: install the equivalents of the Debian packages {} with its own package manager",
                required.join(" ")
            ));
        }
    } else if !packages.is_empty() {
        let apt = Apt::new()?;
        if !required.is_empty() {
            println!("setup: about to install with apt: {}", required.join(" "));
            apt.install(&required)?;
        }
        for package in optional {
            if let Err(e) = apt.install_optional(package) {
                println!("setup: going on without {package}: {e}");
            }
        }
    }
    if !components.is_empty() {
        let names: Vec<&str> = components.iter().map(|n| n.package).collect();
        if shell::find("rustup").is_none() {
            return Err(format!("the Rust toolchain lacks {} and there is no rustup to add it", names.join(" ")));
        }
        shell::run(Command::new("rustup").args(["component", "add"]).args(&names))?;
    }
    for need in crates {
        match (build(need.package), need.optional) {
            (Err(e), true) => println!("setup: going on without {}: {e}", need.package),
            (built, _) => built?,
        }
    }
    match absent.iter().find(|n| !n.optional && missing(n)) {
        Some(n) => Err(format!("{} was installed and what it is for is still not found: {}", n.package, n.why)),
        None => Ok(()),
    }
}

/// Builds a program of crates.io. Unoptimised: it is built much sooner, and has little to do.
pub fn build(package: &str) -> Result<(), String> {
    println!("setup: about to build with cargo: {package} (some minutes)");
    shell::run(Command::new("cargo").args(["install", "--quiet", "--locked", "--debug", package]))
}

/// Installs these packages whose absence is no failure, for benches.
pub fn fetch(packages: &[&str]) -> Result<(), String> {
    let apt = Apt::new()?;
    for package in packages {
        if let Err(e) = apt.install_optional(package) {
            println!("setup: going on without {package}: {e}");
        }
    }
    Ok(())
}

fn advice(packages: &[&Need], components: &[&Need], crates: &[&Need]) -> String {
    let names = |needs: &[&Need]| needs.iter().filter(|n| !n.optional).map(|n| n.package).collect::<Vec<_>>().join(" ");
    let mut ways = Vec::new();
    if !names(packages).is_empty() {
        ways.push(format!("apt-get install {}", names(packages)));
    }
    if !names(components).is_empty() {
        ways.push(format!("rustup component add {}", names(components)));
    }
    if !names(crates).is_empty() {
        ways.push(format!("cargo install --locked {}", names(crates)));
    }
    ways.join(" && ")
}

/// apt-get as root.
struct Apt {
    sudo: Vec<String>,
}

const BACKPORTS: &str = "/etc/apt/sources.list.d/retrotap-backports.list";

/// Packages whose service is of no use here: only their programs are.
const SERVICES: [&str; 1] = ["prometheus"];

impl Apt {
    fn new() -> Result<Apt, String> {
        if shell::is_root() {
            return Ok(Apt { sudo: Vec::new() });
        }
        if shell::find("sudo").is_none() {
            return Err("installing needs root, and there is no sudo: run `cargo xtask setup` as root".into());
        }
        // Without a terminal a question for the password would hang.
        let sudo = if std::io::stdin().is_terminal() { vec!["sudo".into()] } else { vec!["sudo".into(), "-n".into()] };
        Ok(Apt { sudo })
    }

    fn command(&self, words: &[&str]) -> Command {
        let (first, rest) = words.split_first().expect("a command has a first word");
        // Through env, because sudo drops the environment.
        let mut before = self.sudo.clone();
        before.extend(["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"].map(String::from));
        let mut command = shell::command(&before, first);
        command.args(rest);
        command
    }

    fn update(&self) -> Result<(), String> {
        shell::run(&mut self.command(&["apt-get", "-qq", "update"]))
    }

    fn get(&self, packages: &[&str]) -> Result<(), String> {
        // The progress bar and the notices of dpkg would drown what matters.
        let mut command =
            self.command(&["apt-get", "-y", "-qq", "-o", "Dpkg::Use-Pty=0", "install", "--no-install-recommends"]);
        shell::output(command.args(packages)).map(|_| ())
    }

    /// Installs; fetches the package lists first when they do not know a package, or afterwards when they proved stale.
    fn install(&self, packages: &[&str]) -> Result<(), String> {
        let known = packages.iter().all(|p| candidate(p).is_some());
        if known && self.get(packages).is_ok() {
            return Ok(());
        }
        self.update()?;
        self.get(packages)
    }

    /// Installs a package but neither starts its service now nor at the next boot.
    fn without_service(&self, package: &str) -> Result<(), String> {
        let systemctl = |verb| shell::output(&mut self.command(&["systemctl", verb, package]));
        if shell::find("systemctl").is_none() || systemctl("mask").is_err() {
            return self.install(&[package]);
        }
        let installed = self.install(&[package]);
        let put_back = systemctl("unmask").and_then(|_| systemctl("disable"));
        installed.and(put_back.map(|_| ()))
    }

    /// Debian 12 has Suricata in its backports only.
    fn install_optional(&self, package: &str) -> Result<(), String> {
        if candidate(package).is_none() {
            self.update()?;
        }
        if candidate(package).is_some() {
            println!("setup: about to install with apt: {package}");
            return if SERVICES.contains(&package) { self.without_service(package) } else { self.install(&[package]) };
        }
        if !os_release().contains("VERSION_CODENAME=bookworm") {
            return Err("this release does not have the package".into());
        }
        if !sources_mention("bookworm-backports") {
            println!("setup: adding the source bookworm-backports in {BACKPORTS}");
            let line = "deb http://deb.debian.org/debian bookworm-backports main";
            shell::run(&mut self.command(&["sh", "-c", &format!("echo '{line}' > {BACKPORTS}")]))?;
        }
        self.update()?;
        println!("setup: about to install with apt: {package} from bookworm-backports");
        self.get(&["-t", "bookworm-backports", package])
    }
}

/// The version that apt would install.
fn candidate(package: &str) -> Option<String> {
    let policy = shell::output(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", package])).ok()?;
    let version = policy.lines().find_map(|l| l.trim().strip_prefix("Candidate:"))?.trim();
    (version != "(none)").then(|| version.to_string())
}

fn os_release() -> String {
    fs::read_to_string("/etc/os-release").unwrap_or_default()
}

fn sources_mention(suite: &str) -> bool {
    let folder = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|e| e.path());
    let active = |p: &Path| p.extension().is_some_and(|e| e == "list" || e == "sources");
    folder
        .filter(|p| active(p))
        .chain(["/etc/apt/sources.list".into()])
        .filter_map(|p| fs::read_to_string(p).ok())
        .any(|text| text.lines().any(|l| !l.trim_start().starts_with('#') && l.contains(suite)))
}
