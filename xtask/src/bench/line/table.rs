//! The table of `bench line`, made from its results: a row a tool, the loss at each rate, and what it cost.

use super::super::results::{columns, distinct, median, short};
use super::super::tool::TOOLS;
use crate::json::Value;

fn rate(line: &Value) -> Option<f64> {
    line.float("asked_gbps")
}

fn loss(line: &Value) -> f64 {
    let of = |path| line.float(path).unwrap_or(f64::NAN);
    of("lost") / of("offered.packets")
}

/// Nanoseconds that a packet takes the load.
fn nanoseconds(line: &Value) -> f64 {
    1e3 / line.float("mpps").unwrap_or(f64::NAN)
}

/// One measurement in short.
pub fn line(l: &Value) -> String {
    let of = |path| l.float(path).unwrap_or(f64::NAN);
    format!(
        "{:16} {:9} {:>5} Gbit/s: {} reached, {} Mpps, lost {}, CPU {} s of {}, {} MB written",
        l.text("tool").unwrap_or_default(),
        l.text("mix").unwrap_or_default(),
        rate(l).map_or("max".into(), |r| r.to_string()),
        short(of("gbps")),
        short(of("mpps")),
        percent(loss(l)),
        short(of("cpu_s")),
        short(of("measured_s")),
        short(of("written_bytes") / 1e6),
    )
}

fn percent(share: f64) -> String {
    match share {
        s if s.is_nan() => "-".into(),
        0.0 => "0".into(),
        s if s < 0.0001 => "<0.01 %".into(),
        s if s < 0.1 => format!("{:.2} %", s * 100.0),
        s => format!("{:.0} %", s * 100.0),
    }
}

/// The tables, a mix each.
pub fn make(lines: &[Value]) -> String {
    let mut text = String::new();
    for mix in distinct(lines, "mix") {
        let of_mix: Vec<Value> = lines.iter().filter(|l| l.text("mix") == Some(&mix)).cloned().collect();
        text += &of_one_mix(&mix, &of_mix);
        text += &latencies(&of_mix);
        text.push('\n');
    }
    let facts = ["kernel", "cpu", "commit"].map(|field| distinct(lines, field).join(", "));
    text += &format!(
        "Load on CPU 0, recorder on CPU 1. Packets lost: median of the rounds, ~ when the load reached less than 97 % of the rate. \"no loss to\": the highest rung of the \
         ladder at which no round lost a packet, as reached. CPU: seconds of the tool's own threads per second of load. ns: time of an unpaced packet above that into a bare XDP_DROP, \
         median of the differences within a round. Written: by the tool to disk per second of load. CPU and written: after the load's warm-up, when a recorder \
         with a cutoff has cut what was under way at the start; losses: of everything.\n\
         Linux {}; {}; commit {}\n",
        facts[0], facts[1], facts[2]
    );
    text
}

fn of_one_mix(mix: &str, lines: &[Value]) -> String {
    let mut rates: Vec<f64> = lines.iter().filter_map(rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let detail = rates.iter().copied().rfind(|&r| r <= 10.0);
    let at = detail.map_or("unpaced".into(), |r| format!("at {r}"));
    let mut head = vec![format!("{mix}, loss at Gbit/s")];
    head.extend(rates.iter().map(f64::to_string));
    head.extend(["unpaced", "no loss to"].map(String::from));
    head.extend([
        format!("CPU {at}"),
        format!("written MB/s {at}"),
        "unpaced Mpps".into(),
        "Gbit/s".into(),
        "ns above drop".into(),
    ]);
    let mut rows = vec![head];
    for tool in TOOLS.iter().filter(|t| lines.iter().any(|l| l.text("tool") == Some(t.name))) {
        let own: Vec<&Value> = lines.iter().filter(|l| l.text("tool") == Some(tool.name)).collect();
        let at_rate = |r: Option<f64>| own.iter().copied().filter(|l| rate(l) == r).collect::<Vec<_>>();
        let middle = |r: Option<f64>, f: &dyn Fn(&Value) -> f64| median(at_rate(r).into_iter().map(f).collect());
        let mut row = vec![tool.name.to_string()];
        for r in rates.iter().copied().map(Some).chain([None]) {
            let reached = middle(r, &|l| l.float("gbps").unwrap_or(f64::NAN));
            let short_of_it = r.is_some_and(|r| reached < 0.97 * r);
            row.push(format!("{}{}", percent(middle(r, &loss)), if short_of_it { "~" } else { "" }));
        }
        let lossless = rates.iter().copied().map(Some).chain([None]).filter(|&r| {
            let of_rate = at_rate(r);
            !of_rate.is_empty() && of_rate.iter().all(|l| l.float("lost") == Some(0.0))
        });
        let highest = lossless.map(|r| middle(r, &|l| l.float("gbps").unwrap_or(f64::NAN))).fold(f64::NAN, f64::max);
        row.push(short(highest));
        let per_second = |path: &'static str| {
            move |l: &Value| l.float(path).unwrap_or(f64::NAN) / l.float("measured_s").unwrap_or(f64::NAN)
        };
        row.push(short(middle(detail, &per_second("cpu_s"))));
        row.push(short(middle(detail, &per_second("written_bytes")) / 1e6));
        row.push(short(middle(None, &|l| l.float("mpps").unwrap_or(f64::NAN))));
        row.push(short(middle(None, &|l| l.float("gbps").unwrap_or(f64::NAN))));
        // What throws packets away has no cost to compare.
        let loses = middle(None, &loss) > 0.01;
        row.push(if loses { "-".into() } else { short(above(lines, &at_rate(None))) });
        rows.push(row);
    }
    columns(&rows)
}

/// How long things took in the recorder, where it says so: medians of the rounds, at each rate.
fn latencies(lines: &[Value]) -> String {
    // Kept results of before the shape of JSON have nanoseconds.
    let of = |l: &Value, key: &str, q: &str| {
        let seconds = l.float(&format!("account.latency.{key}.{q}_seconds"));
        let before = || l.float(&format!("account.latency.{key}_ns.{q}")).map(|ns| ns / 1e9);
        seconds.or_else(before).map_or(f64::NAN, |s| s * 1e3)
    };
    let mut rows = vec![vec!["ms (median, 99 %, longest)".to_string(), "Gbit/s".into()]];
    const WHAT: [(&str, &str); 3] =
        [("queryable", "arrival to queryable"), ("durable", "arrival to durable"), ("step", "step of a batch")];
    rows[0].extend(WHAT.map(|(_, what)| what.to_string()));
    for tool in distinct(lines, "tool") {
        let mut rates: Vec<Option<f64>> = Vec::new();
        for l in lines.iter().filter(|l| l.text("tool") == Some(&tool) && l.get("account.latency").is_some()) {
            if !rates.contains(&rate(l)) {
                rates.push(rate(l));
            }
        }
        for r in rates {
            let own: Vec<&Value> = lines.iter().filter(|l| l.text("tool") == Some(&tool) && rate(l) == r).collect();
            let mut row = vec![tool.clone(), r.map_or("unpaced".into(), |r| r.to_string())];
            for (key, _) in WHAT {
                let at = |q: &str| median(own.iter().map(|l| of(l, key, q)).collect());
                row.push(["p50", "p99", "max"].map(|q| short(at(q))).join(", "));
            }
            rows.push(row);
        }
    }
    if rows.len() > 1 { format!("\n{}", columns(&rows)) } else { String::new() }
}

/// ns a packet above bare XDP_DROP: only what was measured in the same round is compared.
fn above(lines: &[Value], own: &[&Value]) -> f64 {
    let floor = |of: &Value| {
        let same = lines.iter().find(|l| {
            l.text("tool") == Some("drop")
                && rate(l).is_none()
                && ["run", "round"].iter().all(|k| l.get(k) == of.get(k))
        });
        same.map_or(f64::NAN, nanoseconds)
    };
    median(own.iter().map(|l| nanoseconds(l) - floor(l)).collect())
}

#[cfg(test)]
mod tests {
    use super::make;
    use crate::json::Value;

    #[test]
    fn rounds_become_one_row() {
        let line = |tool: &str, round: u32, gbps: &str, mpps: f64, lost: u32| {
            let text = format!(
                r#"{{"tool":"{tool}","run":"1","round":{round},"mix":"lab","asked_gbps":{gbps},"gbps":9.9,"mpps":{mpps},"seconds":2,"measured_s":2,
                "offered":{{"packets":1000}},"lost":{lost},"cpu_s":1,"written_bytes":4000000,"kernel":"k","cpu":"c","commit":"d"}}"#
            );
            Value::parse(&text).unwrap()
        };
        let lines = [
            line("drop", 1, "null", 10.0, 0),
            line("retrotap", 1, "null", 5.0, 0),
            line("drop", 2, "null", 5.0, 0),
            line("retrotap", 2, "null", 2.5, 10),
            line("retrotap", 1, "10", 1.0, 0),
            line("retrotap", 2, "10", 1.0, 0),
        ];
        let text = make(&lines);
        let row: Vec<&str> = text.lines().find(|l| l.starts_with("retrotap")).unwrap().split_whitespace().collect();
        assert_eq!(row, ["retrotap", "0", "0.50", "%", "9.90", "0.50", "2.00", "3.75", "9.90", "150"]);
    }
}
