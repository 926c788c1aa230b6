//! Where a follower stands, as a client hands it back: any text, and any bytes under a sum that is right. What is taken is taken again
//! the same, and its segments rise.

use retrotap::query::{Cursor, SegmentMarks};
use std::fmt::Write;

/// Input: even: the text; odd: the bytes that it stands for, without their sum.
pub fn run(data: &[u8]) {
    let (what, bytes) = crate::options(data);
    let text = match what % 2 {
        0 => String::from_utf8_lossy(bytes).into_owned(),
        _ => text(bytes),
    };
    if let Ok(cursor) = Cursor::parse(&text) {
        // Where something is not there, the fields for it may say anything: the text is not always the same.
        let again = cursor.text().expect("no more segments than one may have");
        assert_eq!(Cursor::parse(&again).as_ref(), Ok(&cursor));
        assert!(cursor.segments.is_sorted_by(|a, b| a.number < b.number), "{cursor:?}");
    }
}

/// With the sum behind it.
fn text(bytes: &[u8]) -> String {
    let sum = crc32c::crc32c(bytes).to_le_bytes();
    let mut text = String::new();
    for byte in bytes.iter().chain(&sum) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The beginning, and in the midst of segments.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let segments = [(3, 0, 0), (7, 4096, 8192), (u64::MAX, 5, u64::MAX)];
    let whole = Cursor {
        store: 77,
        start: 1,
        witness: Some((7, 9)),
        from: 10,
        latest: 11,
        settled: 12,
        before: 13,
        last: Some((12, 65_535, 7, 4100)),
        done_below: 8,
        doing_below: 9,
        segments: segments.map(|(number, read, reading)| SegmentMarks { number, read, reading }).into(),
    };
    for cursor in [Cursor::default(), whole] {
        let text = cursor.text().expect("few segments");
        let pairs = text.as_bytes().as_chunks::<2>().0;
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits");
        let bytes: Vec<u8> = pairs.iter().map(byte).collect();
        add([&[1], &bytes[..bytes.len() - 4]].concat());
        add([&[0], text.as_bytes()].concat());
    }
}
