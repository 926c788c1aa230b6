//! Disk budgets beside the disk that there is. Asked before a start, by a reload, and by `check-config`; changes nothing.

use crate::config::Settings;
use crate::units;
use std::path::Path;

/// Budgets that can never be used up, since the disk is full before: one line for each.
pub fn too_large(settings: &Settings) -> Vec<String> {
    let there = settings.store.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let Ok(fs) = rustix::fs::statvfs(there) else { return Vec::new() };
    let size = fs.f_blocks.saturating_mul(fs.f_frsize);
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
