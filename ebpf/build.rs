//! Build script of the package: compiles every eBPF program and writes its skeleton to `$OUT_DIR/<name>.skel.rs`, where
//! `src/bpf/` includes it. Needs clang with the bpf target and the kernel's user headers (linux-libc-dev); needs no
//! vmlinux.h and nothing of the machine it runs on.

use libbpf_cargo::SkeletonBuilder;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, fs};

/// Every program: `ebpf/<name>.bpf.c` becomes `<name>.skel.rs`. One that is not listed is not built.
const PROGRAMS: &[&str] = &["xdp", "redirect_err", "packet", "load", "bare"];

/// Newest and oldest clang that are looked for under a versioned name.
const CLANG_VERSIONS: std::ops::RangeInclusive<u32> = 12..=23;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("ebpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rerun-if-env-changed=CLANG");
    println!("cargo::rerun-if-changed={}", root.display());

    let Some(clang) = find_clang() else {
        fail("no clang that can compile for the target `bpf` was found ($CLANG, clang, clang-12 to clang-23)")
    };
    for name in PROGRAMS {
        let source = root.join(format!("{name}.bpf.c"));
        let skeleton = SkeletonBuilder::new()
            .source(&source)
            .clang(&clang)
            .clang_args(clang_args())
            .build_and_generate(out.join(format!("{name}.skel.rs")));
        if let Err(error) = skeleton {
            fail(&format!("cannot build {}: {error:#}", source.display()));
        }
    }
}

fn fail(what: &str) -> ! {
    for line in what.lines() {
        println!("cargo::error={line}");
    }
    println!("cargo::error=`cargo xtask setup` installs what the build needs");
    exit(1)
}

fn clang_args() -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"].map(OsString::from).into();
    // Debian keeps asm/ in a folder of the architecture, which clang does not look into when the target is bpf.
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let multiarch = Path::new("/usr/include").join(format!("{arch}-linux-gnu"));
    if multiarch.join("asm").is_dir() {
        args.push("-idirafter".into());
        args.push(multiarch.into());
    }
    args
}

/// The first clang that has a bpf backend.
fn find_clang() -> Option<PathBuf> {
    let versioned = CLANG_VERSIONS.rev().map(|v| PathBuf::from(format!("clang-{v}")));
    let named = env::var_os("CLANG").map(PathBuf::from);
    named.into_iter().chain([PathBuf::from("clang")]).chain(versioned).find(|clang| has_bpf(clang))
}

fn has_bpf(clang: &Path) -> bool {
    let probe = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("probe.c");
    fs::write(&probe, "int probe;\n").is_ok()
        && Command::new(clang)
            .args(["-target", "bpf", "-fsyntax-only"])
            .arg(&probe)
            .output()
            .is_ok_and(|o| o.status.success())
}
