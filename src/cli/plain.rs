//! Text of others on a terminal: reasons of holds, names of interfaces, messages of alerts, words of a recorder. What a terminal would obey instead
//! of showing is written as Rust writes it, `\u{1b}`; so is what would let text run backwards.

/// The text as it is safe to show. Lines stay lines.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            _ if c.is_control() || turns(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out
}

/// The same in one line, for a cell of a table.
pub fn cell(text: &str) -> String {
    plain(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Marks, embeddings, overrides and isolates of direction.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys() {
        assert_eq!(plain("a\u{1b}]0;pwned\u{7}b\u{9b}1m"), "a\\u{1b}]0;pwned\\u{7}b\\u{9b}1m");
        assert_eq!(plain("x\u{202e}fdp.exe"), "x\\u{202e}fdp.exe");
        assert_eq!((plain("ä 漢\n\tb"), cell("a\n\tb\r")), ("ä 漢\n\tb".into(), "a\\n\\tb\\u{d}".into()));
    }
}
