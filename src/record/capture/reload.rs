//! Another configuration while recording: read anew, checked as at a start, then put in force part by part, without a packet lost. Owns
//! the order: first the store learns of new classes, then the workers, then who shows; serve has its part after it. What is refused leaves all as it was; what
//! is accepted comes to be in force everywhere, also in a worker that does not answer now.
//! Done on the control thread.

use super::control::Running;
use super::{names, workers};
use crate::config::{Changes, Settings};
use crate::conn::expressible;
use crate::recent::Shares;
use crate::record::{Refused, budgets};
use crate::worker::filter::Filters;
use crate::worker::mailbox::Rules;

/// Why nothing was changed.
fn wrong(why: impl ToString) -> Refused {
    (422, why.to_string())
}

/// Puts `new` in force, as far as that is possible while recording. Returns what is in force now and what changed.
pub fn apply(run: &mut Running, old: &Settings, new: Settings) -> Result<(Settings, Changes), Refused> {
    let (settings, mut changes) = old.adopt(new);
    if let Some(why) = budgets::too_large(&settings).into_iter().next() {
        return Err(wrong(why));
    }
    settings.memory_fits().map_err(wrong)?;
    let classes = workers::classes(&settings);
    let roster = run.roster.with(classes.iter().map(|c| c.name.as_str())).map_err(wrong)?;
    let set = || roster.set(&classes);
    let filters = || Filters::new(settings.filter.as_deref(), run.workers.interfaces());
    // All that can be wrong, before anything is changed.
    let told = set().map_err(wrong)?;
    expressible(&told).map_err(wrong)?;
    filters().map_err(wrong)?;
    let made: Result<Vec<Rules>, Refused> = (0..run.workers.count())
        .map(|_| {
            let mut classes = set().map_err(wrong)?;
            run.workers.interfaces().iter().for_each(|i| classes.prepare(i.link_type));
            Ok(Rules {
                classes,
                gone: roster.gone(),
                filters: filters().map_err(wrong)?,
                dedup_ns: settings.dedup_ns,
                flood_limit: workers::flood_limit(&settings, run.workers.count()),
            })
        })
        .collect();
    let made = made?;
    let id = |name: &str| roster.id(name).unwrap_or_default();
    let keep: Vec<_> = settings.classes.iter().map(|c| (id(&c.name), c.name.clone(), c.keep)).collect();
    run.store.keep(settings.segment_bytes, settings.disk, &keep).map_err(wrong)?;
    names::save(&settings.store, &run.roster, &roster);
    told.tell(&workers::link_types(run.workers.interfaces()));
    // All that is left: what a worker does not take now it takes when it answers again.
    changes.waiting_workers = run.steering.rules(made);
    // Not before the workers have the new ones; what was assigned to one that is gone is taken back.
    changes.unassigned = run.steering.classes(roster.in_force());
    run.to_serve.classes(roster.in_force());
    run.roster = roster;
    run.facts.classes = class_facts(&run.roster, &settings);
    run.facts.min_ages = min_ages(&settings);
    run.facts.shares = shares(&settings);
    if let Some(recent) = &run.recent {
        recent.keep().share(run.facts.shares.clone());
    }
    run.facts.budget = settings.disk;
    Ok((settings, changes))
}

/// What the ledger has of what is in force: the settings, and the names of the classes by id.
pub fn in_force(settings: &Settings, roster: &crate::class::Roster) -> serde_json::Value {
    let mut config = settings.to_json();
    if let Some(config) = config.as_object_mut() {
        config.insert("ids".into(), serde_json::json!(roster.names()));
    }
    config
}

/// The classes by id, each with its disk budget; those that are gone have none.
pub fn class_facts(roster: &crate::class::Roster, settings: &Settings) -> Vec<(String, Option<u64>)> {
    let budget = |name: &String| settings.classes.iter().find(|c| c.name == *name).and_then(|c| c.keep.disk);
    roster.names().iter().map(|name| (name.clone(), budget(name))).collect()
}

/// The memory of recent packets, and what classes have of it.
pub fn shares(settings: &Settings) -> Shares {
    let own = settings.classes.iter().filter_map(|c| Some((c.name.clone(), c.memory?))).collect();
    Shares { total: settings.memory, own }
}

/// What each class should hold at least, ns, where that is said.
pub fn min_ages(settings: &Settings) -> Vec<(String, u64)> {
    settings.classes.iter().filter_map(|c| Some((c.name.clone(), c.keep.min_age_ns?))).collect()
}
