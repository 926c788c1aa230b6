//! `record` as several processes: the parent, which has read the configuration, and the halves that it starts. Owns what they begin with, and
//! when that is worth while: interfaces go on when something dies, files would have to be read anew.

use super::logging::{self, Voice};
use super::{Exit, Failure, record};
use crate::config::{From, Settings};
use crate::control::Place;
use crate::filter::apart;
use crate::parent::{self, Begun, Half, Plan, ToParent, Wanted};
use crate::privilege;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Says otherwise, for tests of one shape or the other: `one` process, or `apart`: a parent and two halves. Not for users.
const PROCESSES: &str = "RETROTAP_PROCESSES";

/// What a half begins with.
#[derive(Serialize, Deserialize)]
struct Told {
    settings: Settings,
    voice: Voice,
    json: bool,
    /// Standard input is handed over: a capture is read from it.
    input: bool,
}

/// Settings, read when somebody asks for them.
pub type Reader = Box<dyn Fn() -> Result<Settings, String> + Send + Sync>;

/// Whether a recording with these settings has a parent.
pub fn wanted(settings: &Settings) -> bool {
    match std::env::var(PROCESSES).as_deref() {
        Ok("one") => false,
        Ok("apart") => true,
        _ => matches!(settings.from, From::Interfaces { .. }),
    }
}

/// Leads a recording until its end. Whoever says something of it is the half; this process only ends as that did.
pub fn lead(settings: Settings, reader: Reader, json: bool) -> Result<Exit, Failure> {
    let files = matches!(settings.from, From::Files { .. });
    let input = matches!(&settings.from, From::Files { paths, .. } if paths.iter().any(|p| p.as_os_str() == "-"));
    let voice = logging::voice();
    let begin = move |settings: &Settings| {
        serde_json::to_vec(&Told { settings: settings.clone(), voice, json, input })
            .map_err(|e| format!("the settings cannot be handed over: {e}"))
    };
    let first = begin(&settings).map_err(Failure::cannot)?;
    // What is in force, and what was read last.
    let known = Mutex::new((settings, None));
    let documents = move |wanted: Wanted| {
        let new = (wanted == Wanted::Rules).then(&reader);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        // Also what serve will read, before anything is put in force.
        let check = |new: Settings| {
            let then = known.0.adopt(new.clone()).0;
            if then.api == Place::Off { Ok(new) } else { then.api_access.check().map(|()| new) }
        };
        let new = new.map(|new| new.and_then(check));
        match new {
            Some(new) => {
                known.1 = new.clone().ok();
                let error = |e: serde_json::Error| serde_json::to_vec(&Err::<Settings, String>(e.to_string()));
                serde_json::to_vec(&new).or_else(error).unwrap_or_default()
            }
            None => {
                if let Some(new) = known.1.take() {
                    known.0 = known.0.adopt(new).0;
                }
                begin(&known.0).unwrap_or_default()
            }
        }
    };
    let own = |e: std::io::Error| Failure::cannot(format_args!("standard input: {e}"));
    let stdin = || std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
    let handed = input.then(stdin).transpose().map_err(own)?;
    let capture = Half { word: parent::CAPTURE, handed: handed.into_iter().collect() };
    let serve = Some(Half { word: parent::SERVE, handed: Vec::new() });
    let plan = Plan { capture, serve, begin: first, documents: Arc::new(documents), again: !files };
    let code = parent::run(plan).map_err(|e| Failure::cannot(format_args!("capture cannot be started: {e}")))?;
    std::process::exit(code.into())
}

/// What the parent says first; nobody's half ends here.
fn begun(word: &str) -> Result<(Told, Vec<OwnedFd>, ToParent), ExitCode> {
    let begun = parent::begin().and_then(|begun| Ok((serde_json::from_slice::<Told>(&begun.document)?, begun)));
    let (told, Begun { handed, parent, .. }) = begun.map_err(|e| {
        logging::error(&format_args!("{word} is a part of `retrotap record`, which starts it itself: {e}"));
        ExitCode::from(Exit::Usage)
    })?;
    Ok((told, handed, parent))
}

/// How a half ends that has recorded, or served.
fn end(done: Result<ExitCode, Failure>, json: bool) -> ExitCode {
    done.unwrap_or_else(|failure| {
        logging::failed(&failure, json);
        failure.exit.into()
    })
}

/// Capture.
pub fn capture() -> ExitCode {
    let (told, handed, parent) = match begun(parent::CAPTURE) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    logging::start(told.voice);
    apart::always();
    // Where processes are listed it would have the name of a link in /proc.
    let _ = rustix::thread::set_name(c"retrotap");
    let record = |()| record::half(&told.settings, parent, told.json);
    end(input(told.input, handed).and_then(record), told.json)
}

/// Serve.
pub fn serve() -> ExitCode {
    let (told, handed, parent) = match begun(parent::SERVE) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    // Before it closes itself to others.
    parent::first_to_go();
    logging::start(told.voice);
    apart::always();
    let _ = rustix::thread::set_name(c"retrotap-serve");
    privilege::of_a_recorder();
    end(record::serve(&told.settings, handed, &parent).map(|()| ExitCode::SUCCESS), told.json)
}

/// Takes over standard input, where it is handed over.
fn input(is: bool, handed: Vec<OwnedFd>) -> Result<(), Failure> {
    match handed.first().filter(|_| is) {
        Some(input) => {
            rustix::stdio::dup2_stdin(input).map_err(|e| Failure::cannot(format_args!("standard input: {e}")))
        }
        None => Ok(()),
    }
}
