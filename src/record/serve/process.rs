//! Serve as a process of its own, over what capture has handed over. Owns its rounds: it beats, hears the parent, and ends with it. Whatever ends it,
//! capture goes on.

use super::following::SealedIndexer;
use super::{Doors, Indexing, Serve, confine};
use crate::config::{Changes, Settings};
use crate::parent::{FromParent, ToParent};
use crate::privilege;
use crate::record::handed::ForServe;
use crate::record::reloading::ReloadsAsked;
use crate::record::{RecordError, Refused};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How often it looks around.
const ROUND: Duration = Duration::from_millis(20);
/// How often it says that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// Until it is to end.
pub fn run(settings: &Settings, handed: Vec<OwnedFd>, parent: &ToParent) -> Result<(), RecordError> {
    confine(settings);
    let mut settings = settings.clone();
    // The thread that indexes recent blocks takes its place before those that ask, and gives up its capabilities itself. Nobody asks anything yet.
    let from = ForServe::of(handed, &settings.store).map_err(RecordError::system("what capture hands over"))?;
    privilege::without_capabilities();
    let indexing = Indexing::new(&settings.store, from.recent.as_ref().map(|r| r.recent()));
    indexing.look();
    let following = SealedIndexer::start(&indexing, from.live.window().clone());
    let following = following.map_err(RecordError::system("the indexer's thread"))?;
    let mut serve = Serve::start(&settings, Doors::open(&settings)?, from)?;
    parent.ready(&[]).map_err(RecordError::system("the parent"))?;
    let (mut beat, mut asked) = (Instant::now(), ReloadsAsked::default());
    loop {
        match parent.hear() {
            Some(FromParent::End) => break,
            Some(FromParent::Rules { document, answer, number }) => {
                let done = adopt(&mut settings, &serve, &document, answer.as_deref());
                asked.answer(&serve, number, done);
            }
            Some(FromParent::ServeAgain) | None => {}
        }
        asked.ask(&serve, |number| parent.ask(number));
        if beat.elapsed() >= BEAT {
            beat = Instant::now();
            parent.beat();
        }
        std::thread::sleep(ROUND);
    }
    drop(asked);
    serve.end();
    // The last segments are sealed: capture has ended, or the next serve looks for them.
    drop(following);
    Ok(())
}

/// Puts in force here what capture has put in force; what is to be said of it.
fn adopt(settings: &mut Settings, serve: &Serve, document: &[u8], answer: Option<&[u8]>) -> Result<Changes, Refused> {
    let wrong = |e: serde_json::Error| (500, format!("what the recorder says of it can't be read: {e}"));
    let taken = answer.map(serde_json::from_slice::<Result<Changes, Refused>>);
    let mut changes = taken.unwrap_or(Err(serde::de::Error::custom("it is missing"))).map_err(wrong)??;
    let new = serde_json::from_slice::<Result<Settings, String>>(document).map_err(wrong)?;
    *settings = settings.adopt(new.map_err(|why| (422, why))?).0;
    // The parent has looked at them as well, before anything was put in force: another file is there only just now.
    match serve.check(settings) {
        Ok(access) => changes.certificate = serve.adopt(settings, access),
        Err((_, why)) => tracing::error!("reload: who may ask, and the certificate, are as they were: {why}"),
    }
    Ok(changes)
}
