//! Segments: whatever the bytes are, sums right or not. A packet is the same by its block and by its place; what an unsealed segment gives is what the
//! sealed one gives; the index that is made of it is whole, names each packet once, and says the same as one made in memory.

use crate::{scratch, sums};
use retrotap::index::{self, Index};
use retrotap::store::reader::{BlockTable, FoundPacket};
use retrotap::store::{ReadError, SegmentReader};

/// Input: whether sums are put right; the segment.
pub fn run(data: &[u8]) {
    let (how, bytes) = crate::options(data);
    let mut bytes = bytes.to_vec();
    if how & 1 != 0 {
        sums::segment(&mut bytes);
    }
    let path = scratch::file("all/20231114T221320.000000000Z-0-1.pcapng", &bytes);
    let unsealed = scratch::file("open/1.open", &bytes);
    let Ok(sealed) = SegmentReader::open(&path) else {
        // Of an unsealed one a header that is none says only that nothing was written.
        if let Ok(Some(reader)) = SegmentReader::open_unsealed(&unsealed, None) {
            panic!("only unsealed it can be read: {}", reader.header().class);
        }
        return;
    };
    let all = packets(&sealed);
    let whole = sealed.blocks().iter().all(|b| sealed.block(b).is_ok_and(|b| b.packets().all(|p| p.is_ok())));
    if let Ok(Some(reader)) = SegmentReader::open_unsealed(&unsealed, None) {
        assert!(!whole || packets(&reader) == all, "sealed and unsealed give the same");
    }
    let _ = sealed.digest(sealed.end());
    indexed(&sealed, &all, whole);
}

/// All packets that can be read, each looked at again by its place.
fn packets(reader: &SegmentReader) -> Vec<FoundPacket<'static>> {
    let mut all = Vec::new();
    for at in reader.blocks() {
        let salvaged = reader.salvage(at);
        let Ok(block) = reader.block(at) else { continue };
        let found: Vec<_> = block.found().map_while(Result::ok).map(FoundPacket::into_owned).collect();
        assert!(salvaged.len() >= found.len(), "{} of {} packets are salvaged", salvaged.len(), found.len());
        for p in &found {
            let again = reader.packet_at(p.offset).expect("a packet that the block has");
            assert_eq!(&again, p);
        }
        all.extend(found);
    }
    all
}

fn indexed(sealed: &SegmentReader, all: &[FoundPacket<'static>], whole: bool) {
    let made = match Index::make(sealed) {
        Ok(made) => made,
        Err(e) => panic!("no index can be made: {e}"),
    };
    made.check().expect("an index that was just made is whole");
    let mut named = Vec::new();
    made.each_conn(0, &mut |_, c| named.extend(c.offsets)).expect("its connections");
    named.sort_unstable();
    if whole {
        assert_eq!(named, all.iter().map(|p| p.offset).collect::<Vec<_>>(), "each packet once");
    }
    index::build(sealed.path()).expect("the index's file");
    let file = Index::open(&sealed.index()).expect("the index");
    file.check().expect("an index that was just written is whole");
    assert_eq!((file.about().packets, file.about().connections), (made.about().packets, made.about().connections));
    if file.about().bad == 0
        && let Ok(Some(table)) = file.blocks()
    {
        by_table(sealed, table, all);
    }
}

/// What is read by the index's table of blocks is what is read without.
fn by_table(sealed: &SegmentReader, table: BlockTable, all: &[FoundPacket<'static>]) {
    match SegmentReader::open_by(sealed.path(), sealed.end(), table) {
        Ok(reader) => {
            for p in all {
                assert_eq!(&reader.packet_at(p.offset).expect("a packet that the index names"), p);
            }
        }
        // Bytes behind the last block: it is not as it was when the index was made.
        Err(ReadError::Damaged { .. }) => {}
        Err(e) => panic!("{e}"),
    }
}

/// Segments of every version, and small ones.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    for segment in crate::made::segments().into_iter().chain(crate::made::golden("pcapng")) {
        add([&[1], &segment[..]].concat());
    }
}
