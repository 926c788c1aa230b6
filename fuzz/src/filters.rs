//! The three files of filters of a store: any bytes, sums right or not. What is read of them answers, whatever it says.

use crate::{scratch, sums};
use retrotap::index::{Index, Skip, filters, read_filters};

/// Input: whether sums are put right; the files.
pub fn run(data: &[u8]) {
    let (how, rest) = crate::options(data);
    let [entries, addresses, joints] = crate::parts(rest);
    let mut entries = entries.to_vec();
    if how & 1 != 0 {
        sums::filters(&mut entries, [addresses, joints]);
    }
    scratch::file("filters/filters-address", addresses);
    scratch::file("filters/filters-joint", joints);
    let (all, files) = read_filters(&scratch::file("filters/filters", &entries));
    assert!(all.len() <= entries.len() / 80, "{} entries of {} bytes", all.len(), entries.len());
    files.iter().for_each(|f| f.look_again());
    all.iter().for_each(crate::index::asked);
}

/// What is written of the small segments.
pub fn seeds(add: &mut dyn FnMut(Vec<u8>)) {
    let skips: Vec<Skip> = crate::index::made()
        .iter()
        .map(|index| Skip::of(&Index::open(&scratch::file("seed.idx", index)).expect("an index")).expect("its filters"))
        .collect();
    let path = scratch::empty("seed-filters").join("filters");
    for some in [&skips[..1], &skips[..]] {
        filters::write(&path, &[7; 16], some).expect("the files");
        let read = |name: &str| std::fs::read(path.with_file_name(name)).expect("a file");
        let [entries, addresses, joints] = ["filters", "filters-address", "filters-joint"].map(read);
        let all = crate::joined(&[&entries, &addresses, &joints]);
        add([&[1], &all[..]].concat());
        add([&[0], &all[..]].concat());
    }
}
