//! Disk budgets beside the disk that there is. Asked before a start, by a reload, and by `check-config`; changes nothing.

use crate::config::Settings;
use crate::store::keeper::outlook;
use crate::store::keeper::shelf::Retention;
use crate::units;
use std::path::Path;

/// Bytes of the file system that the store is on, or will be: in all, and those that are free.
fn file_system(settings: &Settings) -> Option<(u64, u64)> {
    let there = settings.store.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let fs = rustix::fs::statvfs(there).ok()?;
    Some((fs.f_blocks.saturating_mul(fs.f_frsize), fs.f_bavail.saturating_mul(fs.f_frsize)))
}

/// Budgets that can never be used up, since the disk is full before: one line for each.
pub fn too_large(settings: &Settings) -> Vec<String> {
    let Some((size, _)) = file_system(settings) else { return Vec::new() };
    let classes = settings.classes.iter().filter_map(|c| Some((format!("class {}: disk", c.name), c.keep.disk?)));
    let all = settings.disk.map(|d| ("disk".to_owned(), d));
    all.into_iter()
        .chain(classes)
        .filter(|(_, budget)| *budget > size)
        .map(|(what, budget)| {
            let (budget, size) = (units::size(budget), units::size(size));
            format!("{what} = {budget}: the filesystem of {} has {size} in all", settings.store.display())
        })
        .collect()
}

/// That the disk will be full before the budget is used up, since others have a part of it: then what is oldest goes earlier.
pub fn beyond_what_is_free(settings: &Settings) -> Option<String> {
    let own: u64 = settings.classes.iter().filter_map(|c| c.keep.disk).fold(0, u64::saturating_add);
    let (size, free) = file_system(settings)?;
    let budget = settings.disk.unwrap_or(own);
    if budget <= free || budget > size {
        return None;
    }
    let keep = Retention { total: settings.disk, classes: Vec::new() };
    let has: u64 = outlook::of_store(&settings.store, &keep, units::now()).iter().map(|h| h.bytes).sum();
    let room = free.saturating_add(has);
    (budget > room).then(|| {
        let (store, budget, room) = (settings.store.display(), units::size(budget), units::size(room));
        format!("disk budgets of {budget}: the filesystem of {store} has room for {room} of it, the rest is taken: when it is full the oldest goes earlier")
    })
}
