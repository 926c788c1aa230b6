//! The `[api]` section: where the recorder answers, who may ask what, and how much.

use super::ConfigError;
use super::value::{Size, Span};
use crate::control::{Access, Limits, Place, Role, Tcp};
use crate::limits::{ANSWER_BYTES, QUERIES_PER_USER, QUERY_NS};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the `[api]` section may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Path of the Unix socket, or `off`; `api.sock` in the store without.
    pub socket: Option<PathBuf>,
    /// Group of the socket.
    pub group: Option<String>,
    /// Users and `@groups` of each role.
    pub roles: BTreeMap<Role, Vec<String>>,
    /// Address and port of TCP with TLS.
    pub listen: Option<SocketAddr>,
    /// Its certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// Its tokens.
    pub tokens: Option<PathBuf>,
    /// Queries of one user at a time.
    pub queries: Option<usize>,
    /// Longest time of one query.
    pub query_time: Option<Span>,
    /// Largest answer.
    pub query_bytes: Option<Size>,
}

impl ApiConfig {
    /// Lays `over` on this: what it says wins.
    pub(super) fn overlay(self, over: ApiConfig) -> ApiConfig {
        ApiConfig {
            socket: over.socket.or(self.socket),
            group: over.group.or(self.group),
            roles: if over.roles.is_empty() { self.roles } else { over.roles },
            listen: over.listen.or(self.listen),
            certificate: over.certificate.or(self.certificate),
            key: over.key.or(self.key),
            tokens: over.tokens.or(self.tokens),
            queries: over.queries.or(self.queries),
            query_time: over.query_time.or(self.query_time),
            query_bytes: over.query_bytes.or(self.query_bytes),
        }
    }

    /// Checked.
    pub fn settle(self) -> Result<(Place, Limits, Access), ConfigError> {
        let nonsense = |text: &str| Err(ConfigError::Nonsense(text.to_owned()));
        let tcp = match (self.listen, self.certificate, self.key, self.tokens) {
            (Some(listen), Some(certificate), Some(key), tokens) => Some(Tcp { listen, certificate, key, tokens }),
            (Some(_), ..) => {
                return nonsense(
                    "api.listen takes certificate and key, both PEM files: the API is not served over TCP without TLS",
                );
            }
            (None, None, None, None) => None,
            (None, ..) => return nonsense("api: certificate, key and tokens are those of listen, which is not there"),
        };
        let place = match self.socket {
            None => Place::Store,
            Some(path) if path.as_os_str() == "off" && tcp.is_some() => {
                return nonsense(
                    "api.socket = \"off\" and api.listen: over TCP too, the API is off without its socket",
                );
            }
            Some(path) if path.as_os_str() == "off" => Place::Off,
            Some(path) => Place::At(path),
        };
        let limits = Limits {
            queries: self.queries.unwrap_or(QUERIES_PER_USER),
            time_ns: self.query_time.map_or(QUERY_NS, |Span(ns)| ns),
            bytes: self.query_bytes.map_or(ANSWER_BYTES, |Size(n)| n),
        };
        if limits.queries == 0 || limits.time_ns == 0 || limits.bytes == 0 {
            return nonsense("an API whose limits are 0 answers nothing: write socket = \"off\"");
        }
        Ok((place, limits, Access { group: self.group, roles: self.roles, tcp }))
    }
}
