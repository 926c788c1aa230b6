//! What a pcapng file says beside its packets comes back in the answers: through the store, its segments and the tools; and what can't be
//! kept as it stands is told.

#[path = "../common/mod.rs"]
mod common;
mod interface;
mod pcapng;
mod told;

use common::{Retrotap, segments};
use pcapng::{LITTLE, Options, Order, Read, Value, as_read, read};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

pub(crate) const S: u64 = 1_000_000_000;
/// 2023-11-14T22:13:20Z.
pub(crate) const T: u64 = 1_700_000_000 * S;

/// An Ethernet frame of a UDP packet of port `port`.
pub(crate) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (28 + payload.len()) as u16;
    let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    f.extend(len.to_be_bytes());
    f.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    f.extend(port.to_be_bytes());
    f.extend([0, 53]);
    f.extend((8 + payload.len() as u16).to_be_bytes());
    f.extend([0, 0]);
    f.extend(payload);
    f
}

/// Nanoseconds.
pub(crate) fn resolution() -> (u16, Value) {
    (9, Value::Bytes(vec![9]))
}

pub(crate) fn text(code: u16, text: &str) -> (u16, Value) {
    (code, Value::Bytes(text.as_bytes().to_vec()))
}

pub(crate) fn write(r: &Retrotap, name: &str, bytes: &[u8]) -> PathBuf {
    let path = r.dir().join(name);
    std::fs::write(&path, bytes).expect("writes");
    path
}

/// Imports whole.
pub(crate) fn import(r: &Retrotap, files: &[&Path]) -> (String, serde_json::Value) {
    let (ran, account) = r.record(files, &["--cutoff", "none", "--segment-size", "4MiB"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    (ran.err, account)
}

pub(crate) fn answer(r: &Retrotap, more: &[&str]) -> pcapng::File {
    let out = r.dir().join("answer.pcapng").to_string_lossy().into_owned();
    // It is not overwritten.
    let _ = std::fs::remove_file(&out);
    let ran = r.run(&[&["query"], more, &["-w", &out]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    read(&std::fs::read(&out).expect("the answer"))
}

fn words() -> impl Strategy<Value = Value> {
    "[a-zA-Zäöü \n]{0,40}".prop_map(|s| Value::Bytes(s.into_bytes()))
}

fn bytes(n: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Value> {
    prop::collection::vec(any::<u8>(), n).prop_map(Value::Bytes)
}

fn custom() -> impl Strategy<Value = (u16, Value)> {
    let codes = prop_oneof![Just(2988u16), Just(2989), Just(19372), Just(19373)];
    (codes, any::<u32>(), prop::collection::vec(any::<u8>(), 0..30)).prop_map(|(c, pen, b)| (c, Value::Custom(pen, b)))
}

/// Every option that a packet may have, several of each, codes that are not known, too.
fn of_packet() -> impl Strategy<Value = Options> {
    let one = prop_oneof![
        4 => words().prop_map(|v| (1, v)),
        2 => any::<u32>().prop_map(|n| (2, Value::U32(n))),
        1 => bytes(1..20).prop_map(|v| (3, v)),
        1 => any::<u64>().prop_map(|n| (4, Value::U64(n))),
        1 => any::<u64>().prop_map(|n| (5, Value::U64(n))),
        1 => any::<u32>().prop_map(|n| (6, Value::U32(n))),
        1 => (1u8..3, any::<u64>()).prop_map(|(t, n)| (7, Value::Typed(t, n))),
        1 => prop::collection::vec(any::<u8>(), 3).prop_map(|b| (7, Value::Bytes([vec![0], b].concat()))),
        1 => custom(),
        1 => (0x8000u16..0xd200, bytes(0..9)),
        1 => (200u16..2000, bytes(0..300)),
    ];
    prop::collection::vec(one, 0..5)
}

fn of_interface() -> impl Strategy<Value = Options> {
    let one = prop_oneof![
        2 => words().prop_map(|v| (1, v)),
        2 => words().prop_map(|v| (3, v)),
        1 => bytes(8).prop_map(|v| (4, v)),
        1 => bytes(17).prop_map(|v| (5, v)),
        1 => bytes(6).prop_map(|v| (6, v)),
        1 => bytes(8).prop_map(|v| (7, v)),
        1 => any::<u64>().prop_map(|n| (8, Value::U64(n))),
        1 => any::<u32>().prop_map(|n| (10, Value::U32(n))),
        1 => bytes(1..30).prop_map(|v| (11, v)),
        1 => words().prop_map(|v| (12, v)),
        1 => bytes(1).prop_map(|v| (13, v)),
        1 => words().prop_map(|v| (15, v)),
        1 => any::<u64>().prop_map(|n| (16, Value::U64(n))),
        1 => any::<u64>().prop_map(|n| (17, Value::U64(n))),
        1 => custom(),
    ];
    prop::collection::vec(one, 0..6)
}

fn of_section() -> impl Strategy<Value = Options> {
    let one = prop_oneof![
        2 => words().prop_map(|v| (1, v)),
        1 => words().prop_map(|v| (2, v)),
        1 => words().prop_map(|v| (3, v)),
        1 => words().prop_map(|v| (4, v)),
        1 => custom(),
    ];
    prop::collection::vec(one, 0..4)
}

#[derive(Clone, Debug)]
struct Section {
    big: bool,
    options: Options,
    /// Name, options, offset of times in seconds.
    interfaces: Vec<(String, Options, Option<i64>)>,
    packets: Vec<(prop::sample::Index, Options)>,
}

fn section() -> impl Strategy<Value = Section> {
    let interface = ("[a-z]{1,8}", of_interface(), prop::option::of(-1000i64..1000));
    let packets = prop::collection::vec((any::<prop::sample::Index>(), of_packet()), 1..60);
    (any::<bool>(), of_section(), prop::collection::vec(interface, 1..4), packets)
        .prop_map(|(big, options, interfaces, packets)| Section { big, options, interfaces, packets })
}

/// How the answer says what an input's section and interface said.
fn expected(section: &Options, name: &str, options: &Options) -> Read {
    let mut out = vec![(2, name.as_bytes().to_vec())];
    out.extend(as_read(options));
    let has = |code| options.iter().any(|(c, _)| *c == code);
    for (code, value) in as_read(section) {
        match code {
            2 if !has(15) => out.push((15, value)),
            3 if !has(12) => out.push((12, value)),
            2 | 3 => {}
            4 => out.push((1, [&b"captured by "[..], &value].concat())),
            code => out.push((code, value)),
        }
    }
    out.push((9, vec![9]));
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_option_comes_back(sections in prop::collection::vec(section(), 1..3)) {
        let r = Retrotap::default();
        let (mut file, mut want, mut n) = (Vec::new(), Vec::new(), 0u64);
        for s in &sections {
            let order = Order { big: s.big };
            file.extend(order.section(&s.options));
            for (name, options, offset) in &s.interfaces {
                let mut list = vec![text(2, name), resolution()];
                list.extend(options.clone());
                list.extend(offset.map(|o| (14, Value::U64(o as u64))));
                file.extend(order.interface(1, 262_144, &list));
            }
            for (at, options) in &s.packets {
                let i = at.index(s.interfaces.len());
                let (name, described, offset) = &s.interfaces[i];
                let (data, time) = (udp(1000 + (n % 7) as u16, &n.to_be_bytes()), T + n * 1001);
                let stamp = time.wrapping_sub((offset.unwrap_or(0) * S as i64) as u64);
                file.extend(order.packet(i as u32, stamp, data.len() as u32, &data, options));
                want.push((time, data, as_read(options), expected(&s.options, name, described)));
                n += 1;
            }
        }
        let path = write(&r, "in.pcapng", &file);
        let (err, _) = import(&r, &[&path]);
        prop_assert_eq!(err.contains("WARN"), false, "{}", err);
        let got = answer(&r, &[]);
        prop_assert_eq!(got.packets.len(), want.len());
        for (p, (time, data, options, interface)) in got.packets.iter().zip(&want) {
            let (_, said) = &got.interfaces[p.interface as usize];
            prop_assert_eq!((p.time, &p.data, &p.options, said), (*time, data, options, interface));
        }
        // The answer is an input like any other, and says the same again.
        let again = Retrotap::default();
        import(&again, &[&r.dir().join("answer.pcapng")]);
        let second = answer(&again, &[]);
        let options = |f: &pcapng::File| f.packets.iter().map(|p| p.options.clone()).collect::<Vec<_>>();
        prop_assert_eq!(options(&second), options(&got));
        // So is a segment; what the recorder said of its packets is not the input's word.
        let stored: Vec<PathBuf> = segments(&r.store());
        let third = Retrotap::default();
        import(&third, &stored.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        prop_assert_eq!(options(&answer(&third, &[])), options(&got));
    }
}

/// A packet that reaches its cutoff has a mark and keeps its options; one by index, one in a whole block.
#[test]
fn options_stay_beside_the_mark() {
    let r = Retrotap::default();
    let mut file = LITTLE.section(&Vec::new());
    file.extend(LITTLE.interface(1, 0, &vec![text(2, "eth0"), resolution()]));
    for n in 0..2000u64 {
        let data = udp((n / 4) as u16 + 1, &[7; 100]);
        let options = vec![text(1, &format!("packet {n}")), (2, Value::U32(1 + (n % 2) as u32))];
        file.extend(LITTLE.packet(0, T + n * 1000, data.len() as u32, &data, &options));
    }
    let path = write(&r, "in.pcapng", &file);
    let (ran, account) = r.record(&[&path], &["--cutoff", "200"]);
    assert_eq!((ran.code, account["stored"]["packets"].as_u64()), (Some(0), Some(1000)), "{}", ran.err);
    for (filter, packets) in [("", 1000), ("udp port 17", 2)] {
        let got = answer(&r, &[filter]);
        assert_eq!(got.packets.len(), packets, "{filter:?}");
        for p in &got.packets {
            let n = (p.time - T) / 1000;
            let want = vec![(1, format!("packet {n}").into_bytes()), (2, vec![1 + (n % 2) as u8, 0, 0, 0])];
            assert_eq!(p.options, want, "{filter:?}");
        }
    }
}

/// Blocks of these kinds: (kind, block, packets in front).
fn of(file: &pcapng::File, kind: u32) -> Vec<&[u8]> {
    file.others.iter().filter(|(k, ..)| *k == kind).map(|(_, b, _)| b.as_slice()).collect()
}

/// Names and secrets go with the packets of their section, into segments, answers and holds, and not with those of others.
#[test]
fn names_and_secrets_go_with_their_packets() {
    let big = Order { big: true };
    let r = Retrotap::default();
    let packets = |order: Order, port: u16, from: u64| -> Vec<u8> {
        (0..20u64)
            .flat_map(|n| {
                let data = udp(port, &n.to_be_bytes());
                order.packet(0, T + (from + n) * S, data.len() as u32, &data, &Vec::new())
            })
            .collect()
    };
    let iface = |order: Order| order.interface(1, 0, &vec![text(2, "eth0"), resolution()]);
    let mut one = [big.section(&Vec::new()), iface(big), big.names([10, 0, 0, 1], "client.example")].concat();
    one.extend(big.secrets(b"CLIENT_RANDOM 01 02\n"));
    one.extend(packets(big, 1000, 0));
    one.extend(big.secrets(b"CLIENT_RANDOM 03 04\n"));
    one.extend(packets(big, 2000, 100));
    let two = [LITTLE.section(&Vec::new()), iface(LITTLE), packets(LITTLE, 3000, 200)].concat();
    let (one, two) = (write(&r, "one.pcapng", &one), write(&r, "two.pcapng", &two));
    let (err, _) = import(&r, &[&one, &two]);
    assert!(!err.contains("WARN"), "{err}");

    let (names, first, second) = (
        LITTLE.names([10, 0, 0, 1], "client.example"),
        LITTLE.secrets(b"CLIENT_RANDOM 01 02\n"),
        LITTLE.secrets(b"CLIENT_RANDOM 03 04\n"),
    );
    let all = answer(&r, &[]);
    assert_eq!(all.packets.len(), 60);
    assert_eq!((of(&all, 4), of(&all, 10)), (vec![&names[..]], vec![&first[..], &second[..]]));
    // One interface, as the input has one; the secrets are in front of what they are for.
    assert_eq!(all.interfaces.len(), 1, "{:?}", all.interfaces);
    let before = |block: &[u8]| all.others.iter().find(|(_, b, _)| b == block).map(|(.., n)| *n);
    assert_eq!((before(&first), before(&second)), (Some(0), Some(20)));

    let early = answer(&r, &["udp port 1000"]);
    assert_eq!((early.packets.len(), of(&early, 10)), (20, vec![&first[..]]));
    let late = answer(&r, &["udp port 2000"]);
    assert_eq!((late.packets.len(), of(&late, 10)), (20, vec![&first[..], &second[..]]));
    let other = answer(&r, &["udp port 3000"]);
    assert_eq!((other.packets.len(), of(&other, 4).len() + of(&other, 10).len()), (20, 0));

    // A hold, and what is exported of it.
    let held = r.run(&["hold", "udp port 2000", "--name", "case", "--reason", "why"]);
    assert_eq!(held.code, Some(0), "{}", held.err);
    let out = r.dir().join("case.pcapng").to_string_lossy().into_owned();
    let exported = r.run(&["export", "case", "-w", &out]);
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    assert_eq!(of(&read(&std::fs::read(&out).expect("the export")), 10), vec![&first[..], &second[..]]);

    // Segments are for the tools as they are, and nobody else's to read.
    use std::os::unix::fs::PermissionsExt;
    let mut with = 0;
    for segment in segments(&r.store()) {
        let mode = segment.metadata().expect("a segment").permissions().mode();
        assert_eq!(mode & 0o037, 0, "{}: {mode:o}", segment.display());
        let bytes = std::fs::read(&segment).expect("a segment");
        with += usize::from(bytes.windows(first.len()).any(|w| w == first));
    }
    assert!(with >= 2, "{with} segments have the first secret");
    let verified = r.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{}{}", verified.text(), verified.err);
}

/// Wireshark writes the names that it has looked up behind the packets: they belong to all of them. What comes through a pipe is told.
#[test]
fn names_behind_the_last_packet() {
    let data = udp(1000, b"x");
    let names = LITTLE.names([10, 0, 0, 1], "client.example");
    let mut file = [LITTLE.section(&Vec::new()), LITTLE.interface(1, 0, &vec![text(2, "eth0"), resolution()])].concat();
    file.extend(LITTLE.packet(0, T, data.len() as u32, &data, &Vec::new()));
    file.extend(&names);
    let statistics = [&0u32.to_le_bytes()[..], &[0; 8]].concat();
    file.extend(LITTLE.block(5, &statistics));

    let r = Retrotap::default();
    let path = write(&r, "in.pcapng", &file);
    let (err, account) = import(&r, &[&path]);
    assert!(!err.contains("left out"), "{err}");
    assert_eq!(account["files"][0]["changed"]["blocks_late"], 0, "{account}");
    let got = answer(&r, &[]);
    assert_eq!((got.packets.len(), of(&got, 4)), (1, vec![&names[..]]));

    let r = Retrotap::default();
    let store = r.store().to_string_lossy().into_owned();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_retrotap"))
        .args(["record", "-r", "-", "--json", "--store", &store])
        .stdin(std::fs::File::open(&path).map(piped).expect("the input"))
        .output()
        .expect("the binary runs");
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(err.contains("1 block of names or secrets behind the last packet, left out"), "{err}");
}

/// The file through a pipe.
fn piped(mut file: std::fs::File) -> std::process::Stdio {
    let (from, mut to) = std::io::pipe().expect("a pipe");
    std::thread::spawn(move || std::io::copy(&mut file, &mut to));
    from.into()
}

/// Whoever reads segments and answers without us reads comments, names and direction as in the input.
#[test]
fn tools_read_what_was_kept() {
    let r = Retrotap::default();
    let mut file = LITTLE.section(&vec![text(1, "of the file"), text(3, "Plan 9")]);
    let eth = vec![text(2, "eth0"), resolution(), text(3, "uplink"), (8, Value::U64(10_000_000_000))];
    file.extend(LITTLE.interface(1, 0, &eth));
    file.extend(LITTLE.names([10, 0, 0, 1], "client.example"));
    let data = udp(1000, b"x");
    let options = vec![text(1, "look here"), text(1, "and here"), (2, Value::U32(2))];
    file.extend(LITTLE.packet(0, T, data.len() as u32, &data, &options));
    let path = write(&r, "in.pcapng", &file);
    import(&r, &[&path]);
    answer(&r, &[]);
    let answer = r.dir().join("answer.pcapng");
    let segment = segments(&r.store()).into_iter().next().expect("a segment");
    let tshark = |file: &Path| {
        let fields = ["frame.comment", "frame.packet_flags_direction", "frame.interface_description", "ip.src_host"];
        let mut command = std::process::Command::new("tshark");
        command.arg("-r").arg(file).args(["-N", "n", "-T", "fields"]);
        fields.iter().for_each(|f| {
            command.args(["-e", f]);
        });
        command.output().ok().map(|o| {
            assert!(o.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&o.stderr));
            String::from_utf8_lossy(&o.stdout).trim().to_owned()
        })
    };
    match tshark(&path) {
        Some(of_input) => {
            assert!(of_input.starts_with("look here,and here\t0x00000002\tuplink\t"), "{of_input}");
            assert_eq!((tshark(&answer), tshark(&segment)), (Some(of_input.clone()), Some(of_input)));
        }
        None => eprintln!("skipped: tools_read_what_was_kept: tshark is not installed"),
    }
    for file in [&answer, &segment] {
        match std::process::Command::new("capinfos").arg(file).output() {
            Ok(o) => {
                let said = String::from_utf8_lossy(&o.stdout).into_owned();
                assert!(o.status.success() && said.contains("Description = uplink"), "{}: {said}", file.display());
                assert!(file != &answer || said.contains("Operating system = Plan 9"), "{said}");
            }
            Err(_) => eprintln!("skipped: tools_read_what_was_kept: capinfos is not installed"),
        }
    }
}
