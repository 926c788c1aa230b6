//! Files of receipts with their side files: any bytes, sums right or not. What is read of them, written anew, is found again: all of it, and each
//! connection by its name.

use crate::{scratch, sums};
use retrotap::conn::receipt::Receipt;
use retrotap::ledger::{RECEIPTS_BYTES, Receipts, each_connection, lookup};
use std::path::Path;

/// Connections that are looked for by name: each is a look through the file.
const LOOKED_FOR: usize = 8;

/// Input: whether sums are put right; the file, the side file.
pub fn run(data: &[u8]) {
    let (how, rest) = crate::options(data);
    let [receipts, side] = crate::parts(rest);
    let (mut receipts, mut side) = (receipts.to_vec(), side.to_vec());
    if how & 1 != 0 {
        sums::receipts(&mut receipts);
        sums::side(&mut side, receipts.len());
    }
    let dir = scratch::empty("receipts");
    std::fs::write(dir.join("01795262851771440570.rix"), &side).expect("a file");
    std::fs::write(dir.join("01795262851771440570.receipts"), &receipts).expect("a file");
    for r in all(&dir).iter().take(LOOKED_FOR) {
        lookup(&dir, 0, u64::MAX, Some(&r.key), |found| assert_eq!(found.key, r.key)).expect("a look");
    }
    std::fs::remove_file(dir.join("01795262851771440570.rix")).expect("the side file goes");
    let read = all(&dir);
    let mut connections = 0;
    each_connection(&dir, (0, u64::MAX), || true, &mut |_| connections += 1).expect("a look");
    assert!(connections <= read.len());
    again(&read);
}

fn all(dir: &Path) -> Vec<Receipt> {
    let mut read = Vec::new();
    let report = lookup(dir, 0, u64::MAX, None, |r| read.push(*r)).expect("a look");
    assert!(read.len() as u64 <= report.frames * 1024);
    read
}

/// Written anew they are the same.
fn again(read: &[Receipt]) {
    let dir = scratch::empty("receipts-again");
    let mut written = Receipts::open(&dir, RECEIPTS_BYTES).expect("receipts");
    written.append(1, read).expect("an appendage");
    drop(written);
    // What never was in the window is not looked for.
    let within = |r: &&Receipt| r.last > 0 || r.first == 0;
    let mut found = all(&dir);
    let mut wanted: Vec<Receipt> = read.iter().filter(within).copied().collect();
    found.retain(|r| within(&r));
    let name = |r: &Receipt| format!("{r:?}");
    found.sort_by_key(name);
    wanted.sort_by_key(name);
    assert!(found == wanted, "{} of {} receipts come back", found.len(), wanted.len());
}

/// Those of every version, with their side files.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for receipts in crate::made::golden("receipts") {
        let dir = scratch::empty("seed-receipts");
        let read = {
            std::fs::write(dir.join("1.receipts"), &receipts).expect("a file");
            all(&dir)
        };
        add([&[1], &crate::joined(&[&receipts, b""])[..]].concat());
        // A side file is made of a finished file: all that are written are finished when nobody writes.
        let many: Vec<Receipt> = read.iter().cycle().take(6000).copied().collect();
        let dir = scratch::empty("seed-side");
        let mut written = Receipts::open(&dir, RECEIPTS_BYTES).expect("receipts");
        written.append(1, &many).expect("an appendage");
        drop(written);
        for side in crate::made::files(&dir, "rix") {
            let side = std::fs::read(side).expect("the side file");
            add([&[1], &crate::joined(&[&receipts, &side])[..]].concat());
        }
    }
}
