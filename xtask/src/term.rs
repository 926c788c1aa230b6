//! How xtask shows things: colours on a terminal only, numbers with thin separators, bytes in binary units.

use std::io::IsTerminal;

/// Wraps in an SGR colour when standard output is a terminal.
pub fn paint(code: &str, text: &str) -> String {
    if !text.is_empty() && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_string()
    }
}

/// Bold.
pub fn bold(text: &str) -> String {
    paint("1", text)
}

/// Red.
pub fn bad(text: &str) -> String {
    paint("31;1", text)
}

/// Green.
pub fn good(text: &str) -> String {
    paint("32", text)
}

/// Grey.
pub fn dim(text: &str) -> String {
    paint("2", text)
}

/// 1234567 as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Bytes with a binary unit and three or four digits.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers() {
        assert_eq!(super::count(0), "0");
        assert_eq!(super::count(999), "999");
        assert_eq!(super::count(1_234_567), "1,234,567");
        assert_eq!(super::bytes(512), "512 B");
        assert_eq!(super::bytes(1 << 20), "1.0 MiB");
    }
}
