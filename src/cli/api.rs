//! Which recorder a command asks, and as whom: the options that all of them share, and the way back to the store's files.

use super::Failure;
use crate::control::{Address, Client, ClientError};
use crate::shape::Kind;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Which store or recorder.
#[derive(Clone, Debug, clap::Args)]
pub struct At {
    /// The store
    #[arg(long, value_name = "DIR", env = "RETROTAP_STORE")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub far: Far,
}

/// Which recorder.
#[derive(Clone, Debug, clap::Args)]
pub struct Far {
    /// The recorder that answers: its socket, or https://HOST:PORT [default: where the store says, if one is there]
    #[arg(long, visible_alias = "daemon", value_name = "WHERE", env = "RETROTAP_API", help_heading = "Recorder")]
    pub api: Option<String>,
    /// File with the token, for https
    #[arg(long, value_name = "FILE", env = "RETROTAP_TOKEN_FILE", help_heading = "Recorder")]
    pub token_file: Option<PathBuf>,
    /// PEM file of whom to believe, for https: the authority of the recorder's certificate, or that itself
    #[arg(long, value_name = "FILE", env = "RETROTAP_CA", help_heading = "Recorder")]
    pub ca: Option<PathBuf>,
}

impl At {
    /// The recorder that holds the store, if one answers; one that was named must.
    pub fn daemon(&self) -> Result<Option<Client>, Failure> {
        match (self.far.named()?, &self.store) {
            (None, None) => Err(Failure::usage(
                "name the store (--store DIR, or RETROTAP_STORE) or its recorder (--api SOCKET or https://HOST:PORT)",
            )),
            (None, Some(store)) => Ok(Client::at(&Address::OfStore(store.clone())).unwrap_or_else(|e| {
                tracing::info!("the store's files are read, since its recorder cannot be asked: {e}");
                None
            })),
            (Some(daemon), _) => Ok(Some(daemon)),
        }
    }

    /// The recorder, for what only it can tell or do.
    pub fn recorder(&self) -> Result<Client, Failure> {
        if let (None, Some(store)) = (&self.far.api, &self.store) {
            // Said as it is: there are no files to fall back to.
            let address = Address::OfStore(store.clone());
            return match Client::at(&address).map_err(refused)? {
                Some(daemon) => Ok(daemon),
                None => Err(Failure::cannot(format_args!(
                    "{address}: no recorder answers there: start one (retrotap record), or name its socket with --api"
                ))),
            };
        }
        self.daemon()?.ok_or_else(|| Failure::cannot("no recorder answers"))
    }

    /// Where the recorder answers, or will.
    pub fn place(&self) -> Result<Address, Failure> {
        match (&self.far.api, &self.store) {
            (Some(at), _) => self.far.address(at),
            (None, _) => self.store().map(|store| Address::OfStore(store.to_owned())),
        }
    }

    /// The store, where its files are read.
    pub fn store(&self) -> Result<&Path, Failure> {
        self.store.as_deref().ok_or_else(|| Failure::usage("name the store: --store DIR, or RETROTAP_STORE"))
    }
}

impl Far {
    /// The recorder that is named, if one is; it must answer.
    pub fn named(&self) -> Result<Option<Client>, Failure> {
        let Some(at) = &self.api else { return Ok(None) };
        match Client::at(&self.address(at)?).map_err(refused)? {
            Some(daemon) => Ok(Some(daemon)),
            None => Err(Failure::cannot(format_args!(
                "{at}: no recorder answers there; leave --api out to read the store's files"
            ))),
        }
    }

    fn address(&self, at: &str) -> Result<Address, Failure> {
        if at.starts_with("http://") {
            return Err(Failure::usage(format_args!("{at}: a recorder is not asked over TCP without TLS: https://")));
        }
        let Some(rest) = at.strip_prefix("https://") else { return Ok(Address::Socket(at.into())) };
        let wrong = || Failure::usage(format_args!("{at}: write https://HOST:PORT"));
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let (Some(token), Some(ca)) = (&self.token_file, &self.ca) else {
            return Err(Failure::usage(format_args!(
                "{at} takes a token and whom to believe: --token-file FILE (RETROTAP_TOKEN_FILE) and --ca FILE (RETROTAP_CA)"
            )));
        };
        let text = std::fs::read_to_string(token);
        let text = text.map_err(|e| Failure::cannot(format_args!("{}: {e}", token.display())))?;
        Ok(Address::Https { host: host.to_owned(), port, token: text.trim().to_owned(), ca: ca.clone() })
    }
}

/// What a daemon's refusal is to the command line.
pub fn refused(e: ClientError) -> Failure {
    match &e {
        ClientError::Refused(status @ (400 | 404 | 409), _) => Failure::usage(&e).of_kind(Kind::of_status(*status)),
        ClientError::Refused(status, _) => Failure::cannot(&e).of_kind(Kind::of_status(*status)),
        ClientError::Summary(_) => Failure::incomplete(&e),
        ClientError::Write(io) if io.kind() == ErrorKind::BrokenPipe => Failure::cannot(PIPE_CLOSED),
        _ => Failure::cannot(e),
    }
}

/// The words of a failure that is none: whoever reads has seen enough.
pub const PIPE_CLOSED: &str = "standard output is closed";
