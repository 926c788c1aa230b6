//! `record` as several processes: the parent, which has read the configuration, and the half that it starts. Owns what one tells the other, and
//! when that is worth while: interfaces go on when something dies, files would have to be read anew.

use super::logging::{self, Voice};
use super::{Exit, Failure, record};
use crate::config::{From, Settings};
use crate::filter::apart;
use crate::parent::{self, Begun, Half, Plan, Wanted};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Says otherwise, for tests of one shape or the other: `one`, `parent`. Not for users.
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
        Ok("parent") => true,
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
    let plan = Plan { capture, serve: None, begin: first, documents: Arc::new(documents), again: !files };
    let code = parent::run(plan).map_err(|e| Failure::cannot(format_args!("capture cannot be started: {e}")))?;
    std::process::exit(code.into())
}

/// The half: all of a recording, until serve is a process of its own.
pub fn capture() -> ExitCode {
    let begun = parent::begin().and_then(|begun| Ok((serde_json::from_slice::<Told>(&begun.document)?, begun)));
    let (told, Begun { handed, parent, .. }) = match begun {
        Ok(begun) => begun,
        Err(e) => {
            logging::error(&format_args!(
                "{} is a part of `retrotap record`, which starts it itself: {e}",
                parent::CAPTURE
            ));
            return Exit::Usage.into();
        }
    };
    logging::start(told.voice);
    apart::always();
    // Where processes are listed it would have the name of a link in /proc.
    let _ = rustix::thread::set_name(c"retrotap");
    let recorded = input(told.input, handed).and_then(|()| record::half(&told.settings, parent, told.json));
    match recorded {
        Ok(code) => code,
        Err(failure) => {
            logging::failed(&failure, told.json);
            failure.exit.into()
        }
    }
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
