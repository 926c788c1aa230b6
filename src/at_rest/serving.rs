//! What `serve` needs of a configuration: who may ask, how much and where. The rest of it is a recorder's, and is not looked at.

use crate::config::{Config, ConfigError};
use crate::control::{Access, Limits, Place};
use crate::metrics::http::Address;
use std::path::PathBuf;

/// Whom to answer about stores at rest.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The store that the configuration names.
    pub store: Option<PathBuf>,
    /// Where the API listens.
    pub api: Place,
    /// What its clients may do.
    pub limits: Limits,
    /// Who they are.
    pub access: Access,
    /// Where metrics are served, if they are.
    pub metrics: Option<Address>,
}

impl Serving {
    /// Resolves and checks.
    pub fn new(config: Config) -> Result<Serving, ConfigError> {
        let metrics = config.metrics.as_deref().map(str::parse).transpose();
        let metrics = metrics.map_err(|why| ConfigError::Nonsense(format!("metrics: {why}")))?;
        let (api, limits, access) = config.api.settle()?;
        if api == Place::Off {
            return Err(ConfigError::Nonsense(
                "an API that is off answers nobody: name its socket (--api PATH)".into(),
            ));
        }
        Ok(Serving { store: config.store, api, limits, access, metrics })
    }
}
