//! The place in the header of a pcapng section for what the answer says of itself. Packets come before it is known what is missing, so
//! the place is set aside first and filled in where the answer is a file: with the comment of the section's last block, which is there
//! in any case. Owns the place's bytes; a pipe keeps the words that stand in it until then.

use super::pcapng::{code, option};
use crate::limits::ANSWER_PLACE_BYTES;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What stands in the place until it is filled in.
pub const UNFINISHED: &str = "This answer is not finished, or it came through a pipe: then the comment of its last block \
    (interface statistics) says what was asked, what is in it and what is missing. Without that block it was cut short.";

/// Where the place begins in a section.
const AT: u64 = 24;
/// Ours: zeros up to the end of the place. The top bit says that it is for local use; readers skip it.
const FILL: u16 = 0xd202;
/// A place is a comment and what fills the rest, each with its head.
const TEXT_MAX: usize = ANSWER_PLACE_BYTES - 8;
/// Ends a text that does not fit.
const MORE: &str = "\n... (the rest is in the comment of the last block)";

/// The place with this text in it: always of the same length.
pub fn place(text: &str) -> Vec<u8> {
    let mut place = Vec::with_capacity(ANSWER_PLACE_BYTES);
    option(&mut place, code::COMMENT, fitting(text).as_bytes());
    let rest = ANSWER_PLACE_BYTES.saturating_sub(place.len() + 4);
    option(&mut place, FILL, &vec![0; rest]);
    place
}

/// As much of a text as fits.
fn fitting(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_MAX - MORE.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MORE}", text.get(..end).unwrap_or_default())
}

/// Fills in the place of the section that begins at `begin` and ends with the file, with the comment of its last block. False: there is none, as in
/// an answer that was cut short, or no place, as in a pcap.
pub fn fill_in(file: &File, begin: u64) -> io::Result<bool> {
    match last_comment(file)? {
        Some(text) => fill_in_with(file, begin, &text),
        None => Ok(false),
    }
}

/// The same with this text.
pub fn fill_in_with(file: &File, begin: u64, text: &str) -> io::Result<bool> {
    // The place as it was made, or nothing is touched.
    let (mut head, waiting) = ([0; AT as usize + ANSWER_PLACE_BYTES], place(UNFINISHED));
    match file.read_exact_at(&mut head, begin) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        other => other?,
    }
    if !head.starts_with(&super::pcapng::SECTION.to_le_bytes()) || !head.ends_with(&waiting) {
        return Ok(false);
    }
    file.write_all_at(&place(text), begin + AT).map(|()| true)
}

/// The comment of a file's last block, if that has statistics and a comment.
fn last_comment(file: &File) -> io::Result<Option<String>> {
    let (end, mut len) = (file.metadata()?.len(), [0; 4]);
    let Some(at) = end.checked_sub(4) else { return Ok(None) };
    file.read_exact_at(&mut len, at)?;
    let len = u32::from_le_bytes(len) as usize;
    // A head of 20 bytes, a comment's head and text, the end of options, the length again.
    let fits = (28..=(1 << 16) + 64).contains(&len);
    let Some(begin) = end.checked_sub(len as u64).filter(|_| fits) else { return Ok(None) };
    let mut block = vec![0; len];
    file.read_exact_at(&mut block, begin)?;
    let word = |at: usize| block.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    if word(0) != Some(super::pcapng::STATISTICS) || word(4) != Some(len as u32) {
        return Ok(None);
    }
    let head = word(20).unwrap_or(0);
    let (kind, length) = (head as u16, (head >> 16) as usize);
    let text = block.get(24..24 + length).filter(|_| kind == code::COMMENT);
    Ok(text.map(|t| String::from_utf8_lossy(t).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_takes_the_same_place() {
        for text in ["", "a", UNFINISHED, &"ä".repeat(1000), &"ä".repeat(TEXT_MAX), &"x".repeat(TEXT_MAX), "four"] {
            let place = place(text);
            assert_eq!(place.len(), ANSWER_PLACE_BYTES, "{} bytes of text", text.len());
            let len = u16::from_le_bytes([place[2], place[3]]) as usize;
            let kept = std::str::from_utf8(&place[4..4 + len]).expect("whole characters");
            assert!(kept == text || kept.ends_with(MORE), "{kept}");
        }
    }
}
