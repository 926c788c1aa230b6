//! Stores at rest: imported traces, copied evidence, the store of a recorder that has stopped. Owns the process that answers about them over the API,
//! from its start to its end: which store it has still, and which it has left to a recorder that began. Called by the command line. It records
//! nothing, seals nothing and recovers nothing, and no segment is changed; it writes what whoever asks has written: holds, the audit log.

mod error;
mod page;
mod served;
mod serving;

pub use error::AtRestError;
pub use serving::Serving;

use crate::control::{Place, SOCKET};
use crate::limits::STORES_AT_REST;
use crate::metrics::http::Endpoint;
use crate::record::signals::Signals;
use page::page;
use served::Served;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often it looks who records, and what it is asked for.
const LOOK: Duration = Duration::from_millis(100);

/// Answers about these stores until it is to end, or a recorder has each of them. `again`: the configuration, read once more. With `index` first makes the
/// indexes that are missing; nobody can record meanwhile.
pub fn run(
    stores: &[PathBuf],
    serving: &Serving,
    index: bool,
    again: &dyn Fn() -> Result<Serving, String>,
) -> Result<(), AtRestError> {
    check(stores, serving)?;
    let signals = Signals::new().map_err(AtRestError::system("signals"))?;
    let endpoint = serving.metrics.as_ref().map(Endpoint::bind).transpose()?;
    let mut all = Vec::new();
    for store in stores {
        let socket = match &serving.api {
            Place::At(path) => path.clone(),
            _ => store.join(SOCKET),
        };
        let go_on = || !signals.stop();
        all.push(Served::start(store, socket, serving, index.then_some(&go_on))?);
    }
    let shown = Arc::new(Mutex::new(String::new()));
    let show = || *shown.lock().unwrap_or_else(PoisonError::into_inner) = page(&all);
    show();
    let text = shown.clone();
    let serve = move |e: Endpoint| e.serve(move || text.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let _metrics = endpoint.map(serve).transpose().map_err(AtRestError::system("the metrics' threads"))?;
    look(&mut all, &signals, &shown, again);
    all.into_iter().for_each(Served::end);
    Ok(())
}

/// Until it is to end, or has nothing any more.
fn look(all: &mut [Served], signals: &Signals, shown: &Mutex<String>, again: &dyn Fn() -> Result<Serving, String>) {
    while !signals.stop() {
        all.iter_mut().for_each(Served::look);
        if all.iter().all(|served| served.server().is_none()) {
            tracing::info!("no store is left to answer about");
            return;
        }
        if signals.reload() {
            let done = again().and_then(|new| all.iter().try_for_each(|served| served.adopt(&new)));
            match done {
                Ok(()) => {
                    tracing::info!("reload: who may ask, how much, and the certificate are as the configuration says")
                }
                Err(why) => tracing::error!("reload: refused: {why}"),
            }
        }
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = page(all);
        std::thread::sleep(LOOK);
    }
}

/// What can't be, before anything is begun.
fn check(stores: &[PathBuf], serving: &Serving) -> Result<(), AtRestError> {
    if stores.len() > STORES_AT_REST {
        return Err(AtRestError::Many(stores.len()));
    }
    if stores.len() > 1 && serving.api != Place::Store {
        return Err(AtRestError::OnePlace("socket (--api, or [api] socket)"));
    }
    if stores.len() > 1 && serving.access.tcp.is_some() {
        return Err(AtRestError::OnePlace("address (--listen, or [api] listen)"));
    }
    let mut seen = Vec::new();
    for store in stores {
        let place = canonical(store)?;
        if seen.contains(&place) {
            return Err(AtRestError::Twice(store.clone()));
        }
        seen.push(place);
    }
    Ok(())
}

fn canonical(store: &Path) -> Result<PathBuf, AtRestError> {
    let wrong = |source: io::Error| AtRestError::Look { store: store.to_owned(), source };
    std::fs::canonicalize(store).map_err(wrong)
}
