//! The demo's screen: the account of a run beside the truth of the load, the answers, what to try next. Checks the sum law
//! again, from the printed numbers.

use super::{PROGRAM, Results};
use crate::json::Value;
use crate::term::{bad, bold, bytes, count, dim, good};

/// Prints the screen; an error when a packet is unaccounted for.
pub fn show(r: &Results) -> Result<(), String> {
    let (truth, account) = (&r.truth, &r.account);
    let offered = Row::of(truth, "offered")?;
    let seen = Row::of(account, "seen")?;
    let stored = Row::of(account, "stored")?;
    let lost = losses(account)?;
    let lost_packets: u64 = lost.iter().map(|(_, n)| n).sum();

    println!("\n{}", bold("retrotap demo"));
    println!("{}\n", r.how);
    println!("{}", dim("                      packets         bytes"));
    offered.print("offered", "by the load generator");
    seen.print("seen", if account.text("source") == Some("xdp") { "by the XDP program" } else { "in the file" });
    Row::of(account, "shunted")?.print("  shunted", "past the cutoff, dropped in the kernel");
    Row::of(account, "received")?.print("  received", "by the worker");
    Row::of(account, "cut")?.print("    cut", "past the cutoff, dropped by the worker");
    stored.print("    stored", "in segments, on disk");
    let named: Vec<String> =
        lost.iter().filter(|(_, n)| *n > 0).map(|(cause, n)| format!("{cause} {}", count(*n))).collect();
    let amount = format!("{:>13}", count(lost_packets));
    let amount = if lost_packets == 0 { good(&amount) } else { bad(&amount) };
    println!("{}", format!("{:16}{amount}                {}", "  lost", named.join(", ")).trim_end());

    println!();
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    println!(
        "kept            {:.1} % of the bytes, {:.1} % of the packets",
        share(stored.bytes, offered.bytes),
        share(stored.packets, offered.packets)
    );
    let kept = Row::of(truth, "kept")?;
    let cutoff = truth.number("cutoff")? / 1024;
    println!(
        "                a cutoff of {cutoff} KiB must keep {} packets of this load: {}",
        count(kept.packets),
        verdict(stored.packets, kept.packets)
    );
    println!(
        "index           {}: {:.2} % of the segments ({}), {:.3} % of what was offered",
        bytes(r.index_bytes),
        share(r.index_bytes, r.segment_bytes),
        bytes(r.segment_bytes),
        share(r.index_bytes, offered.bytes)
    );
    let law = sum_law(account, &offered, &seen);
    match &law {
        Ok(()) => println!("account         {}", good("every packet is in exactly one counter")),
        Err(e) => println!("account         {}", bad(e)),
    }
    println!();
    println!("{}", dim("query                                packets         bytes       time"));
    for a in &r.answers {
        let (packets, size) = (a.summary.number("packets")?, a.summary.number("bytes")?);
        println!("{:32}{:>12}{:>14}{:>8.0} ms", a.filter, count(packets), bytes(size), a.took.as_secs_f64() * 1000.0);
    }
    println!("\nThe store is left in {}. Try:", r.store.display());
    for next in [
        format!("{PROGRAM} info {}", r.store.display()),
        format!(
            "{PROGRAM} query 'tcp port 22 and net 10.0.0.0/24' --store {} --limit 1000 -w - | tcpdump -nr - | head",
            r.store.display()
        ),
        format!("{PROGRAM} query 'ip6 and udp' --store {} --count", r.store.display()),
        format!("{PROGRAM} verify {}", r.store.display()),
    ] {
        println!("  {next}");
    }
    law
}

struct Row {
    packets: u64,
    bytes: u64,
}

impl Row {
    fn of(value: &Value, name: &str) -> Result<Row, String> {
        Ok(Row { packets: value.number(&format!("{name}.packets"))?, bytes: value.number(&format!("{name}.bytes"))? })
    }

    fn print(&self, name: &str, what: &str) {
        let line = format!("{name:16}{:>13}{:>14}  {}", count(self.packets), bytes(self.bytes), dim(what));
        println!("{}", line.trim_end());
    }
}

fn verdict(stored: u64, must: u64) -> String {
    match stored == must {
        true => good("exactly so many were stored"),
        false => format!("{} were stored", count(stored)),
    }
}

/// Every loss, by cause.
fn losses(account: &Value) -> Result<Vec<(&'static str, u64)>, String> {
    let causes = [
        ("redirect_failed.ring_full", "ring_full"),
        ("redirect_failed.no_frame", "no_frame"),
        ("redirect_failed.too_big", "too_big"),
        ("redirect_failed.unbound", "unbound"),
        ("in_ring", "in_ring"),
        ("passed.packets", "passed"),
        ("lost", "lost"),
        ("dropped.disk_stall.packets", "disk_stall"),
        ("dropped.handoff_full.packets", "handoff_full"),
        ("dropped.flood.packets", "flood"),
        ("write_failed", "write_failed"),
        ("pending", "pending"),
    ];
    causes.iter().map(|(path, name)| Ok((*name, account.number(path)?))).collect()
}

/// The sum law of the account, and that nothing was lost on the way to the XDP program.
fn sum_law(account: &Value, offered: &Row, seen: &Row) -> Result<(), String> {
    let packets = |name: &str| account.number(&format!("{name}.packets"));
    let equal = |what: &str, left: u64, right: u64| {
        if left == right { Ok(()) } else { Err(format!("{what}: {} is not {}", count(left), count(right))) }
    };
    let received = packets("received")?;
    equal("offered = seen", offered.packets, seen.packets)?;
    equal("offered = seen, in bytes", offered.bytes, seen.bytes)?;
    if account.text("source") == Some("xdp") {
        let redirected = packets("redirected")?;
        let failed = ["ring_full", "no_frame", "too_big", "unbound"];
        let failed = failed.iter().map(|c| account.number(&format!("redirect_failed.{c}"))).sum::<Result<u64, _>>()?;
        equal(
            "seen = shunted + redirected + passed",
            seen.packets,
            packets("shunted")? + redirected + packets("passed")?,
        )?;
        equal(
            "redirected = received + in_ring + redirect_failed",
            redirected,
            received + account.number("in_ring")? + failed,
        )?;
    } else {
        equal(
            "seen = shunted + received + lost",
            seen.packets,
            packets("shunted")? + received + account.number("lost")?,
        )?;
    }
    let ways = [
        "stored",
        "cut",
        "filtered",
        "class_discard",
        "sampled_out",
        "duplicate",
        "dropped.disk_stall",
        "dropped.handoff_full",
        "dropped.flood",
    ];
    let ways = ways.iter().map(|w| packets(w)).sum::<Result<u64, _>>()?;
    equal("received = stored + cut + filtered + class_discard + sampled_out + duplicate + dropped", received, ways)?;
    let disk = account.number("durable")? + account.number("pending")? + account.number("write_failed")?;
    equal("stored = durable + pending + write_failed", packets("stored")?, disk)
}
