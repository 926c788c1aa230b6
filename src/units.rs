//! Sizes, durations and times as people write them and as they are shown: `50GiB`, `15KiB`, `10m`, RFC 3339 times. Used
//! by the command line, the configuration and the printers; depends on nothing else of the crate.

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned, civil};
use std::borrow::Cow;

/// Why a word is not the unit asked for; says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not {what}")]
pub struct UnitError {
    word: String,
    what: Cow<'static, str>,
}

fn error(word: &str, what: impl Into<Cow<'static, str>>) -> UnitError {
    UnitError { word: word.to_owned(), what: what.into() }
}

/// A number (digits, perhaps a fraction) and the letters after it, as `number * factor`; exact for whole numbers.
fn scaled(word: &str, factor: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let word = word.trim();
    let split = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, letters) = word.split_at_checked(split)?;
    let factor = factor(letters.trim())?;
    if let Ok(n) = number.parse::<u64>() {
        return n.checked_mul(factor);
    }
    let n: f64 = number.parse().ok()?;
    let scaled = n * factor as f64;
    (scaled.is_finite() && scaled < u64::MAX as f64).then_some(scaled as u64)
}

/// A size in bytes: `15KiB`, `50 GiB`, `1.5MiB`, `10MB` (decimal), `100` or `100B`; `K`, `M`, `G`, `T` alone are binary.
pub fn parse_size(word: &str) -> Result<u64, UnitError> {
    scaled(word, |letters| {
        Some(match letters.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "p" | "pib" => 1 << 50,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "pb" => 1_000_000_000_000_000,
            _ => return None,
        })
    })
    .ok_or_else(|| error(word, "a size: write 15KiB, 50GiB, 10MB or a number of bytes"))
}

/// A duration in nanoseconds: `10s`, `100ms`, `10m`, `2h`, `7d`, or several together: `1h30m`.
pub fn parse_duration(word: &str) -> Result<u64, UnitError> {
    let what = "a duration: write 10s, 100ms, 10m, 1h30m or 7d";
    let mut total = 0u64;
    let mut rest = word.trim();
    if rest.is_empty() {
        return Err(error(word, what));
    }
    while !rest.is_empty() {
        let letters = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| error(word, what))?;
        let len = rest.get(letters..).and_then(|r| r.find(|c: char| !c.is_ascii_alphabetic()));
        let (one, more) = rest.split_at_checked(len.map_or(rest.len(), |l| letters + l)).unwrap_or((rest, ""));
        let ns = scaled(one, |letters| {
            Some(match letters {
                "ns" => 1,
                "us" => 1_000,
                "ms" => 1_000_000,
                "s" | "sec" => 1_000_000_000,
                "m" | "min" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "d" => 86_400_000_000_000,
                "w" => 604_800_000_000_000,
                _ => return None,
            })
        });
        total = ns.and_then(|ns| total.checked_add(ns)).ok_or_else(|| error(word, what))?;
        rest = more.trim_start();
    }
    Ok(total)
}

/// A point in time as Unix nanoseconds. RFC 3339 (`2026-11-21T13:15:00Z`, with an offset, or without one in local time),
/// a date, `13:15` or `13:15:30` (today, local time), seconds since 1970 (`1700000000.5`), `now`, or relative to `now`:
/// `-10m`, `10m ago`. A local time that there is twice, or never, because clocks are put back or forward, is refused with both readings.
pub fn parse_time(word: &str, now: u64) -> Result<u64, UnitError> {
    time_in(word, now, &TimeZone::system())
}

fn time_in(word: &str, now: u64, zone: &TimeZone) -> Result<u64, UnitError> {
    let what =
        "a time: write 2026-11-21T13:15:00Z, 2026-11-21 13:15, 13:15, -10m, or seconds since 1970 such as 1700000000.5";
    let text = word.trim();
    let fail = || error(word, what);
    if text == "now" {
        return Ok(now);
    }
    let back = text.strip_prefix('-').or_else(|| text.strip_suffix("ago").map(str::trim_end));
    if let Some(back) = back {
        return parse_duration(back).map(|ns| now.saturating_sub(ns)).map_err(|_| fail());
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return parse_unix(text).ok_or_else(fail);
    }
    if let Ok(t) = text.parse::<Timestamp>() {
        return unix_ns(t).ok_or_else(fail);
    }
    let local = if let Ok(t) = text.parse::<civil::DateTime>() {
        // A date alone is its first moment, whatever that is called.
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            let zoned = t.date().to_zoned(zone.clone()).and_then(|z| z.start_of_day());
            return zoned.ok().and_then(|z: Zoned| unix_ns(z.timestamp())).ok_or_else(fail);
        }
        t
    } else if let Ok(t) = text.parse::<civil::Time>() {
        let today = i64::try_from(now).ok().and_then(|n| Timestamp::from_nanosecond(n.into()).ok()).ok_or_else(fail)?;
        today.to_zoned(zone.clone()).date().to_datetime(t)
    } else {
        return Err(fail());
    };
    let moment = zone.to_ambiguous_timestamp(local);
    let why = match moment.offset() {
        AmbiguousOffset::Unambiguous { .. } => {
            return moment.unambiguous().ok().and_then(unix_ns).ok_or_else(fail);
        }
        AmbiguousOffset::Fold { .. } => "one time: clocks are put back then, and it is",
        AmbiguousOffset::Gap { .. } => "a time: clocks are put forward over it, and it would be",
    };
    match (moment.earlier(), moment.later()) {
        (Ok(a), Ok(b)) => Err(error(word, format!("{why} {a} or {b}: write the one that is meant, as it stands here"))),
        _ => Err(fail()),
    }
}

/// Seconds since 1970 with up to nine decimals, exactly.
fn parse_unix(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

fn unix_ns(t: Timestamp) -> Option<u64> {
    u64::try_from(t.as_nanosecond()).ok()
}

/// A size with at most three digits and a binary unit: `15.0 KiB`, `912 B`.
pub fn size(bytes: u64) -> String {
    match scale(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"]) {
        (_, "B") => format!("{bytes} B"),
        (n, unit) => format!("{n} {unit}"),
    }
}

/// A bit rate: `9.87 Gbit/s`, from bytes in a time.
pub fn bit_rate(bytes: u64, seconds: f64) -> String {
    let (n, unit) = scale(per(bytes * 8, seconds), 1000.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
    format!("{n} {unit}")
}

/// A packet rate: `1.25 Mpps`.
pub fn packet_rate(packets: u64, seconds: f64) -> String {
    let (n, unit) = scale(per(packets, seconds), 1000.0, &["pps", "kpps", "Mpps", "Gpps"]);
    format!("{n} {unit}")
}

fn per(n: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { n as f64 / seconds } else { 0.0 }
}

/// Three digits and the unit that fits.
fn scale<'a>(mut n: f64, base: f64, units: &[&'a str]) -> (String, &'a str) {
    let mut units = units.iter().peekable();
    let mut unit = units.next().copied().unwrap_or_default();
    while n >= 999.5 && units.peek().is_some() {
        n /= base;
        unit = units.next().copied().unwrap_or_default();
    }
    let digits = match n {
        n if n == 0.0 || n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        _ => 2,
    };
    (format!("{n:.digits$}"), unit)
}

/// A count with groups of three digits: `1 234 567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() <= 3 {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(d);
    }
    out
}

/// A count of things: `1 packet`, `1 234 packets`.
pub fn several(n: u64, thing: &str) -> String {
    let end = match n {
        1 => "",
        _ if thing.ends_with('x') => "es",
        _ => "s",
    };
    format!("{} {thing}{end}", count(n))
}

/// A duration with its two largest units: `2d 3h`, `1m 5s`, `350 ms`.
pub fn duration(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    let two = |a: u64, x: &str, b: u64, y: &str| if b == 0 { format!("{a}{x}") } else { format!("{a}{x} {b}{y}") };
    match s {
        0 if ns == 0 => "0s".into(),
        0 if ns < 10_000 => format!("{ns} ns"),
        0 if ns < 10_000_000 => format!("{:.3} ms", ns as f64 / 1e6),
        0 => format!("{} ms", ns / 1_000_000),
        1..10 => format!("{:.1}s", ns as f64 / 1e9),
        10..60 => format!("{s}s"),
        60..3600 => two(s / 60, "m", s % 60, "s"),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "m"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

/// A point in time, RFC 3339 in UTC with as many decimals as it needs.
pub fn time(unix_ns: u64) -> String {
    match Timestamp::from_nanosecond(unix_ns.into()) {
        Ok(t) => t.to_string(),
        Err(_) => format!("{unix_ns} ns"),
    }
}

/// A point in time to the second, in local time with its distance from UTC, for people: `2026-11-30 11:00:00+01:00`, in UTC with a Z.
pub fn local_time(unix_ns: u64) -> String {
    match Timestamp::from_nanosecond(unix_ns.into()) {
        Ok(t) => in_zone(t, TimeZone::system()),
        Err(_) => format!("{unix_ns} ns"),
    }
}

fn in_zone(t: Timestamp, zone: TimeZone) -> String {
    let zoned = t.to_zoned(zone);
    let format = if zoned.offset().is_zero() { "%Y-%m-%d %H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%S%:z" };
    zoned.strftime(format).to_string()
}

/// Now, Unix nanoseconds.
pub fn now() -> u64 {
    unix_ns(Timestamp::now()).unwrap_or_default()
}

/// CLOCK_MONOTONIC, ns: the same in all processes of a machine.
#[inline]
pub fn monotonic() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (word, bytes) in [
            ("0", 0),
            ("100", 100),
            ("15KiB", 15 << 10),
            ("15k", 15 << 10),
            ("50 GiB", 50 << 30),
            ("1.5MiB", 3 << 19),
            ("10MB", 10_000_000),
            ("2tb", 2_000_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(word), Ok(bytes), "{word}");
        }
        for word in ["", "KiB", "-1", "1.2.3", "10XiB", "20000000TiB", "18446744073709551616", "1e3", "ten"] {
            assert!(parse_size(word).is_err(), "{word}");
        }
        assert!(parse_size("ten").unwrap_err().to_string().contains("\"ten\" is not a size"));
    }

    #[test]
    fn durations() {
        const S: u64 = 1_000_000_000;
        for (word, ns) in [
            ("10s", 10 * S),
            ("100ms", S / 10),
            ("1h30m", 5400 * S),
            ("7d", 604_800 * S),
            ("0.5s", S / 2),
            ("1 h 5 s", 3605 * S),
            ("3ns", 3),
        ] {
            assert_eq!(parse_duration(word), Ok(ns), "{word}");
        }
        for word in ["", "10", "s", "1x", "1h30", "-5s", "100000000000d"] {
            assert!(parse_duration(word).is_err(), "{word}");
        }
    }

    #[test]
    fn times() {
        let now = 1_700_000_000_000_000_000;
        assert_eq!(parse_time("now", now), Ok(now));
        assert_eq!(parse_time("-10m", now), Ok(now - 600_000_000_000));
        assert_eq!(parse_time("2h ago", now), Ok(now - 7_200_000_000_000));
        assert_eq!(parse_time("1700000000.000000001", now), Ok(now + 1));
        assert_eq!(parse_time("2023-11-14T22:13:20Z", now), Ok(now));
        assert_eq!(parse_time("2023-11-14T23:13:20.5+01:00", now), Ok(now + 500_000_000));
        for word in ["2023-11-14", "2023-11-14 22:13", "22:13", "22:13:20"] {
            assert!(parse_time(word, now).is_ok(), "{word}");
        }
        for word in ["", "yesterday", "-5", "1.2.3", "1700000000.0000000001", "2023-13-14", "1969-01-01T00:00:00Z"] {
            assert!(parse_time(word, now).is_err(), "{word}");
        }
    }

    /// Summer time of central Europe.
    #[test]
    fn a_local_time_that_is_twice_or_never_is_refused_with_both() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |word: &str| time_in(word, 1_792_900_000_000_000_000, &zone);
        let utc = |word: &str| time_in(word, 0, &TimeZone::UTC).unwrap();
        let twice = at("2026-10-25 02:30").unwrap_err().to_string();
        assert!(twice.contains("2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z"), "{twice}");
        // The day of `now` is that one.
        assert_eq!(
            at("02:30").unwrap_err().to_string().replace("02:30\"", ""),
            twice.replace("2026-10-25 02:30\"", "")
        );
        let never = at("2026-03-29T02:30:00").unwrap_err().to_string();
        assert!(never.contains("2026-03-29T00:30:00Z or 2026-03-29T01:30:00Z"), "{never}");
        // Before and after there is one; an offset says which.
        assert_eq!(at("2026-10-25 01:59:59"), Ok(utc("2026-10-24T23:59:59Z")));
        assert_eq!(at("2026-10-25 03:00"), Ok(utc("2026-10-25T02:00:00Z")));
        assert_eq!(at("2026-03-29 03:00"), Ok(utc("2026-03-29T01:00:00Z")));
        assert_eq!(at("2026-10-25T02:30:00+02:00"), Ok(utc("2026-10-25T00:30:00Z")));
        assert_eq!(at("2026-10-25T02:30:00+01:00"), Ok(utc("2026-10-25T01:30:00Z")));
        assert_eq!(at("2026-03-29"), Ok(utc("2026-03-28T23:00:00Z")));
    }

    #[test]
    fn shown() {
        assert_eq!(["0 B", "999 B", "0.98 KiB"].map(str::to_owned), [size(0), size(999), size(1000)]);
        assert_eq!(
            (size(15 << 10), size(50 << 30), size(u64::MAX)),
            ("15.0 KiB".into(), "50.0 GiB".into(), "16384 PiB".into())
        );
        assert_eq!(bit_rate(1_250_000_000, 1.0), "10.0 Gbit/s");
        assert_eq!(packet_rate(1_234_567, 1.0), "1.23 Mpps");
        assert_eq!(packet_rate(5, 0.0), "0 pps");
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1 234 567".into()));
        assert_eq!(
            [1_500_000, 350_000_000, 2_500_000_000, 65_000_000_000, 183_600_000_000_000].map(duration),
            ["1.500 ms", "350 ms", "2.5s", "1m 5s", "2d 3h"]
        );
        assert_eq!(time(1_700_000_000_000_000_001), "2023-11-14T22:13:20.000000001Z");
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(in_zone(at, TimeZone::UTC), "2023-11-14 22:13:20Z");
        assert_eq!(in_zone(at, TimeZone::fixed(jiff::tz::offset(-5))), "2023-11-14 17:13:20-05:00");
    }

    proptest! {
        #[test]
        fn any_word_is_answered(word in ".{0,40}") {
            let _ = (parse_size(&word), parse_duration(&word), parse_time(&word, 0));
        }

        #[test]
        fn a_printed_time_is_read_back(ns in 0u64..10_000_000_000_000_000_000) {
            prop_assert_eq!(parse_time(&time(ns), 0), Ok(ns));
        }
    }
}
