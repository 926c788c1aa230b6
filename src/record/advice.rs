//! What of the settings is allowed and perhaps not meant: classes that nothing gets, a `min_age` that no budget holds, budgets beyond what is free.
//! Said before a start, by `record --plan` and by `check-config`; changes nothing.

use super::{ages, budgets};
use crate::config::Settings;

/// A line for each.
pub fn of(settings: &Settings) -> Vec<String> {
    let mut all = [settings.shadowed(), ages::before(settings)].concat();
    all.extend(budgets::beyond_what_is_free(settings));
    all
}
