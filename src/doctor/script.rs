//! Shell scripts from checks: one that sets what is not as it should be, one that sets it as it was. Plain sh, for root.

use super::Check;
use std::fmt::Write;

/// A word as a shell reads it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

const HEAD: &str = "#!/bin/sh\nset -u\nfailed=0\n";
const TAIL: &str = "exit \"$failed\"\n";

/// Sets every knob that has a fix, and says each.
pub fn fix(checks: &[Check]) -> String {
    let steps = checks.iter().filter_map(|c| Some((c, c.fix.as_ref()?.apply.as_str())));
    script("apply", steps)
}

/// Sets them as they are now, last first.
pub fn undo(checks: &[Check]) -> String {
    let steps = checks.iter().rev().filter_map(|c| Some((c, c.fix.as_ref()?.undo.as_str())));
    script("undo", steps)
}

fn script<'a>(what: &str, steps: impl Iterator<Item = (&'a Check, &'a str)>) -> String {
    let mut text = HEAD.to_owned();
    for (check, command) in steps {
        let place = if check.interface.is_empty() { String::new() } else { format!("{}: ", check.interface) };
        let said = quote(&format!("{what}: {place}{} ({}): {command}", check.knob, check.found));
        let failed = quote(&format!("{what}: {place}{}: failed", check.knob));
        let _ = writeln!(text, "echo {said}\n{{ {command}; }} || {{ echo {failed} >&2; failed=1; }}");
    }
    text + TAIL
}
