//! JSON, enough for the `--json` outputs of this repository's programs and of cargo and for the results of benches: used
//! instead of a crate because xtask has none.

use std::fmt;

/// A JSON value. Numbers keep their text, so that 64-bit counters stay exact.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// null, true, false, numbers: as written.
    Word(String),
    /// A string, unescaped.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object, in the order of its keys in the text.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads one value that is all of `text`.
    pub fn parse(text: &str) -> Result<Value, String> {
        let mut reader = Reader { rest: text };
        let value = reader.value(0)?;
        reader.space();
        if reader.rest.is_empty() { Ok(value) } else { Err(format!("after the JSON value: {}", reader.shown())) }
    }

    /// The value at a path of keys: `get("offered.packets")`.
    pub fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, key| match value {
            Value::Object(members) => members.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        })
    }

    /// The unsigned number at a path.
    pub fn number(&self, path: &str) -> Result<u64, String> {
        match self.get(path) {
            Some(Value::Word(word)) => word.parse().map_err(|_| format!("{path} is {word}, not a count")),
            _ => Err(format!("there is no number {path} in the JSON output")),
        }
    }

    /// The number at a path, whole or not.
    pub fn float(&self, path: &str) -> Option<f64> {
        match self.get(path) {
            Some(Value::Word(word)) => word.parse().ok(),
            _ => None,
        }
    }

    /// The string at a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.get(path) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Value {
        Value::Word(n.to_string())
    }
}

impl From<f64> for Value {
    /// To a millionth; what is no number is null.
    fn from(n: f64) -> Value {
        Value::Word(if n.is_finite() { format!("{:?}", (n * 1e6).round() / 1e6) } else { "null".into() })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Word("null".into()), Into::into)
    }
}

/// An object of these members.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
}

/// On one line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Word(word) => f.write_str(word),
            Value::Text(text) => quoted(f, text),
            Value::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Value::Object(members) => {
                f.write_str("{")?;
                for (i, (key, value)) in members.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    quoted(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if u32::from(c) < 0x20 => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

struct Reader<'a> {
    rest: &'a str,
}

const DEPTH_MAX: usize = 64;

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn shown(&self) -> String {
        self.rest.chars().take(30).collect()
    }

    fn take(&mut self, token: char) -> bool {
        self.space();
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("JSON: {token} expected before: {}", self.shown())) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err("JSON: nested too deeply".into());
        }
        if self.take('{') {
            let mut members = Vec::new();
            while !self.take('}') {
                if !members.is_empty() {
                    self.expect(',')?;
                }
                self.space();
                let key = self.string()?;
                self.expect(':')?;
                members.push((key, self.value(depth + 1)?));
            }
            return Ok(Value::Object(members));
        }
        if self.take('[') {
            let mut items = Vec::new();
            while !self.take(']') {
                if !items.is_empty() {
                    self.expect(',')?;
                }
                items.push(self.value(depth + 1)?);
            }
            return Ok(Value::List(items));
        }
        if self.rest.starts_with('"') {
            return Ok(Value::Text(self.string()?));
        }
        let end = self.rest.find(|c: char| ",]} \t\r\n".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if !["null", "true", "false"].contains(&word) && word.parse::<f64>().is_err() {
            return Err(format!("JSON: a value expected before: {}", self.shown()));
        }
        self.rest = rest;
        Ok(Value::Word(word.to_string()))
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('b') => out.push('\u{8}'),
                    Some('f') => out.push('\u{c}'),
                    Some('u') => {
                        let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&digits, 16).map_err(|_| format!("JSON: bad \\u{digits}"))?;
                        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    Some(c) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err("JSON: a string without an end".into())
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn reads() {
        let v = Value::parse(r#" {"a": {"b": 18446744073709551615, "c": [1, -2.5e3, "x\"\u0041\n"]}, "d": null} "#)
            .unwrap();
        assert_eq!(v.number("a.b"), Ok(u64::MAX));
        let Some(Value::List(items)) = v.get("a.c") else { panic!("no list") };
        assert_eq!(items[2], Value::Text("x\"A\n".into()));
        assert_eq!(v.get("a.x"), None);
        assert!(v.number("d").is_err());
        assert_eq!(Value::parse("[]"), Ok(Value::List(vec![])));
    }

    #[test]
    fn writes_what_it_reads() {
        let v = super::object([
            ("a", 7u64.into()),
            ("b", 0.25.into()),
            ("c", "x\"\\\n\u{e9}".into()),
            ("d", None::<u64>.into()),
            ("e", Value::List(vec![true_word(), 1u64.into()])),
        ]);
        assert_eq!(Value::parse(&v.to_string()), Ok(v.clone()));
        assert_eq!(v.float("b"), Some(0.25));
    }

    fn true_word() -> Value {
        Value::Word("true".into())
    }

    #[test]
    fn refuses() {
        for bad in ["", "{", "[1,", "{\"a\"}", "\"abc", "nul", "1 2", "[1 2]", "{\"a\":1 \"b\":2}"] {
            assert!(Value::parse(bad).is_err(), "{bad}");
        }
        assert!(Value::parse(&"[".repeat(100_000)).is_err());
    }
}
