//! pcapng as the tests write and read it, apart from the product: blocks, interfaces, options, of either byte order.

/// An option, as its number or bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bytes(Vec<u8>),
    U32(u32),
    U64(u64),
    /// Bytes, then a number of 8 bytes.
    Typed(u8, u64),
    /// An enterprise's number, then bytes.
    Custom(u32, Vec<u8>),
}

pub type Options = Vec<(u16, Value)>;

/// Numbers of one byte order.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub big: bool,
}

impl Order {
    pub fn u16(self, n: u16) -> [u8; 2] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    pub fn u32(self, n: u32) -> [u8; 4] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    pub fn u64(self, n: u64) -> [u8; 8] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn value(self, v: &Value) -> Vec<u8> {
        match v {
            Value::Bytes(b) => b.clone(),
            Value::U32(n) => self.u32(*n).to_vec(),
            Value::U64(n) => self.u64(*n).to_vec(),
            Value::Typed(t, n) => [&[*t][..], &self.u64(*n)].concat(),
            Value::Custom(pen, b) => [&self.u32(*pen)[..], b].concat(),
        }
    }

    /// A list with its end, or nothing.
    pub fn options(self, list: &Options) -> Vec<u8> {
        let mut out = Vec::new();
        for (code, value) in list {
            let value = self.value(value);
            out.extend(self.u16(*code));
            out.extend(self.u16(value.len() as u16));
            out.extend(&value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        if !out.is_empty() {
            out.extend([0; 4]);
        }
        out
    }

    pub fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let len = self.u32(12 + padded as u32);
        let mut out = [&self.u32(kind)[..], &len, body].concat();
        out.resize(8 + padded, 0);
        out.extend(len);
        out
    }

    pub fn section(self, options: &Options) -> Vec<u8> {
        let body = [&self.u32(0x1a2b_3c4d)[..], &self.u16(1), &self.u16(0), &[255; 8], &self.options(options)].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    pub fn interface(self, link_type: u16, snaplen: u32, options: &Options) -> Vec<u8> {
        self.block(1, &[&self.u16(link_type)[..], &[0; 2], &self.u32(snaplen), &self.options(options)].concat())
    }

    pub fn packet(self, interface: u32, time: u64, wire_len: u32, data: &[u8], options: &Options) -> Vec<u8> {
        let (high, low) = ((time >> 32) as u32, time as u32);
        let head = [interface, high, low, data.len() as u32, wire_len].map(|n| self.u32(n)).concat();
        let mut body = [&head[..], data].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(self.options(options));
        self.block(6, &body)
    }

    /// A TLS key log.
    pub fn secrets(self, text: &[u8]) -> Vec<u8> {
        let mut body = [&self.u32(0x544c_534b)[..], &self.u32(text.len() as u32), text].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(10, &body)
    }

    /// An IPv4 address's name.
    pub fn names(self, address: [u8; 4], name: &str) -> Vec<u8> {
        let value = [&address[..], name.as_bytes(), &[0]].concat();
        let mut body = [&self.u16(1)[..], &self.u16(value.len() as u16), &value].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([0; 4]);
        self.block(4, &body)
    }
}

pub const LITTLE: Order = Order { big: false };

/// Options as read: little-endian bytes.
pub type Read = Vec<(u16, Vec<u8>)>;

pub fn as_read(list: &Options) -> Read {
    list.iter().map(|(code, value)| (*code, LITTLE.value(value))).collect()
}

#[derive(Debug, Default)]
pub struct File {
    pub section: Read,
    pub interfaces: Vec<(u16, Read)>,
    pub packets: Vec<Packet>,
    /// Other blocks, whole, and how many packets were in front of them.
    pub others: Vec<(u32, Vec<u8>, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub interface: u32,
    pub time: u64,
    pub wire_len: u32,
    pub data: Vec<u8>,
    pub options: Read,
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(b[at..at + 2].try_into().unwrap())
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(b[at..at + 4].try_into().unwrap())
}

/// A list must end with the end of its block, or with the end of options there.
fn list(mut b: &[u8]) -> Read {
    let mut out = Vec::new();
    while !b.is_empty() {
        let (code, len) = (u16_at(b, 0), u16_at(b, 2) as usize);
        if code == 0 {
            assert_eq!(b, [0; 4], "the end of options is the end of the block");
            break;
        }
        out.push((code, b[4..4 + len].to_vec()));
        b = &b[4 + len.next_multiple_of(4)..];
        assert!(!b.is_empty(), "a list has an end");
    }
    out
}

/// Reads one little-endian section.
pub fn read(mut b: &[u8]) -> File {
    let mut file = File::default();
    while !b.is_empty() {
        let (kind, len) = (u32_at(b, 0), u32_at(b, 4) as usize);
        assert_eq!(u32_at(b, len - 4) as usize, len);
        let body = &b[8..len - 4];
        match kind {
            0x0a0d_0d0a => file.section = list(&body[16..]),
            1 => file.interfaces.push((u16_at(body, 0), list(&body[8..]))),
            6 => {
                let captured = u32_at(body, 12) as usize;
                file.packets.push(Packet {
                    interface: u32_at(body, 0),
                    time: u64::from(u32_at(body, 4)) << 32 | u64::from(u32_at(body, 8)),
                    wire_len: u32_at(body, 16),
                    data: body[20..20 + captured].to_vec(),
                    options: list(&body[20 + captured.next_multiple_of(4)..]),
                });
            }
            kind => file.others.push((kind, b[..len].to_vec(), file.packets.len())),
        }
        b = &b[len..];
    }
    file
}
