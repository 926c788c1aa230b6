//! `min_age`: whether the budgets hold what is wanted of each class. Owns the words and what has been said; asked before a start and each
//! second. It only watches: nothing expires later for it.

use crate::config::{ClassSettings, Settings};
use crate::store::keeper::outlook;
use crate::store::keeper::shelf::{Holding, Retention};
use crate::units;
use std::collections::BTreeSet;

/// A class whose budget does not hold its `min_age`: its name, and that in words.
pub fn short(holdings: &[Holding], settings: &Settings) -> Vec<(String, String)> {
    let one = |c: &ClassSettings| {
        let (min, h) = (c.keep.min_age_ns?, holdings.iter().find(|h| h.class == c.name)?);
        let holds = h.holds_ns.filter(|holds| *holds < min)?;
        let (holds, min) = (units::duration(holds), units::duration(min));
        let why = format!(
            "class {}: its budget holds {holds} at the rate of what it has, and min_age is {min}: give it more disk, or cut more",
            c.name
        );
        Some((c.name.clone(), why))
    };
    settings.classes.iter().filter_map(one).collect()
}

/// The same of the store before anybody records: by what is in it.
pub fn before(settings: &Settings) -> Vec<String> {
    let classes = settings.classes.iter().map(|c| (c.name.clone(), c.keep)).collect();
    let keep = Retention { total: settings.disk, classes };
    let holdings = outlook::of_store(&settings.store, &keep, units::now());
    short(&holdings, settings).into_iter().map(|(_, why)| why).collect()
}

/// What has been said of it.
#[derive(Debug, Default)]
pub struct Watch(BTreeSet<String>);

impl Watch {
    /// What is to be said now: of a class that has become short, or is no longer.
    pub fn look(&mut self, holdings: &[Holding], settings: &Settings) -> Vec<String> {
        let now = short(holdings, settings);
        let names: BTreeSet<String> = now.iter().map(|(name, _)| name.clone()).collect();
        let mut news: Vec<String> =
            now.into_iter().filter(|(name, _)| !self.0.contains(name)).map(|(_, why)| why).collect();
        let again = self.0.difference(&names);
        news.extend(again.map(|name| format!("class {name}: its budget holds its min_age again")));
        self.0 = names;
        news
    }
}
