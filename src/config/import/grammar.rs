//! The grammar of the original Time Machine's configuration: words, numbers, strings, blocks. Owns positions for messages;
//! knows nothing of what options mean. Called by [`import`](super).

/// What an option is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `"..."`.
    Text(String),
    /// A number, its suffix (K, M, G by 1024; D: days) already applied, with the suffix.
    Number(u64, char),
    /// A bare word: `no`, `unlimited`, an address.
    Word(String),
}

/// `name value... ;`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The option.
    pub name: String,
    /// What it is set to; nothing or more than one thing is possible.
    pub values: Vec<Value>,
    /// From 1.
    pub line: usize,
}

/// A part of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `main { ... }`
    Main(Vec<Item>),
    /// `class "name" { ... }`
    Class(String, usize, Vec<Item>),
    /// An option outside of both.
    Loose(Item),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Value(Value),
    Open,
    Close,
    Semicolon,
}

/// Reads a text; the error says line and reason.
pub fn parse(text: &str) -> Result<Vec<Part>, String> {
    let tokens = tokens(text)?;
    let mut at = Cursor { tokens: &tokens, last: text.lines().count().max(1) };
    let mut parts = Vec::new();
    while let Some((token, line)) = at.next() {
        let Token::Value(Value::Word(word)) = token else {
            return Err(format!("line {line}: main, class or an option is expected here"));
        };
        parts.push(match word.as_str() {
            "main" => {
                at.open("main")?;
                Part::Main(at.items()?)
            }
            "class" => match at.next() {
                Some((Token::Value(Value::Text(name) | Value::Word(name)), line)) => {
                    at.open("class")?;
                    Part::Class(name, line, at.items()?)
                }
                _ => return Err(format!("line {line}: class: its name is expected")),
            },
            _ => Part::Loose(at.item(word, line)?),
        });
    }
    Ok(parts)
}

struct Cursor<'a> {
    tokens: &'a [(Token, usize)],
    last: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<(Token, usize)> {
        let ((token, line), rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some((token.clone(), *line))
    }

    fn open(&mut self, of: &str) -> Result<(), String> {
        match self.next() {
            Some((Token::Open, _)) => Ok(()),
            Some((_, line)) => Err(format!("line {line}: {of}: {{ is expected")),
            None => Err(format!("line {}: {of}: {{ is expected", self.last)),
        }
    }

    /// Up to the closing brace.
    fn items(&mut self) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        loop {
            match self.next() {
                Some((Token::Close, _)) => return Ok(items),
                Some((Token::Semicolon, _)) => {}
                Some((Token::Value(Value::Word(name)), line)) => items.push(self.item(name, line)?),
                Some((_, line)) => return Err(format!("line {line}: the name of an option is expected here")),
                None => return Err(format!("line {}: a }} is missing", self.last)),
            }
        }
    }

    /// The values of an option, up to the semicolon.
    fn item(&mut self, name: String, line: usize) -> Result<Item, String> {
        let mut values = Vec::new();
        loop {
            match self.next() {
                Some((Token::Semicolon, _)) => return Ok(Item { name, values, line }),
                Some((Token::Value(v), _)) => values.push(v),
                _ => return Err(format!("line {line}: {name}: a ; is missing")),
            }
        }
    }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, String> {
    let (mut out, mut line) = (Vec::new(), 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '/' if chars.next_if_eq(&'*').is_some() => {
                let (begun, mut before) = (line, ' ');
                loop {
                    match chars.next() {
                        Some('/') if before == '*' => break,
                        Some(c) => {
                            line += usize::from(c == '\n');
                            before = c;
                        }
                        None => return Err(format!("line {begun}: the comment has no end")),
                    }
                }
            }
            '{' => out.push((Token::Open, line)),
            '}' => out.push((Token::Close, line)),
            ';' => out.push((Token::Semicolon, line)),
            '"' => {
                let mut string = String::new();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\n') | None => return Err(format!("line {line}: a \" is missing")),
                        Some(c) => string.push(c),
                    }
                }
                out.push((Token::Value(Value::Text(string)), line));
            }
            first => {
                let mut word = String::from(first);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !"{};\"#".contains(*c)) {
                    word.push(c);
                }
                out.push((Token::Value(number(&word).unwrap_or(Value::Word(word))), line));
            }
        }
    }
    Ok(out)
}

fn number(word: &str) -> Option<Value> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = word.get(digits.len()..)?;
    let (factor, unit) = match suffix {
        "" => (1, ' '),
        "K" | "k" => (1 << 10, 'K'),
        "M" | "m" => (1 << 20, 'M'),
        "G" | "g" => (1 << 30, 'G'),
        "D" | "d" => (86_400, 'D'),
        _ => return None,
    };
    Some(Value::Number(digits.parse::<u64>().ok()?.checked_mul(factor)?, unit))
}
