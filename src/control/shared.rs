//! What all requests share. Made by the server at its start; handed to each request with its [`Call`](super::call::Call).

use super::Limits;
use super::access::Rights;
use super::audit::Audit;
use super::brake::Brake;
use super::clients::Clients;
use super::engine::Engine;
use super::job::Cancel;
use super::lanes::Lanes;
use super::reloads::Reloads;
use super::tls::Identity;
use super::tokens::Tokens;
use crate::messages::ToCapture;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Semaphore;

/// What all requests share.
pub struct Shared {
    /// What answers.
    pub engine: Arc<Engine>,
    /// The threads that answer.
    pub lanes: Lanes,
    /// How much is allowed now.
    pub limits: RwLock<Limits>,
    /// Who asks how much now.
    pub clients: Clients,
    /// The audit log.
    pub audit: Audit,
    /// What records, and has the last word on orders.
    pub capture: ToCapture,
    /// Who waits for a reload.
    pub reloads: Reloads,
    /// What slows questions down.
    pub brake: Brake,
    /// Places for followers.
    pub followers: Arc<Semaphore>,
    /// Whose they are.
    pub following: Clients,
    /// Places for long questions.
    pub long_asks: Arc<Semaphore>,
    /// What whom may; replaced by a reload.
    pub rights: RwLock<Arc<Rights>>,
    /// Certificate and key over TCP; replaced by a reload.
    pub tls: RwLock<Option<Identity>>,
    /// Who may ask over TCP.
    pub tokens: Tokens,
    /// The recorder ends.
    pub ending: Cancel,
}

impl Shared {
    /// What the recorder says of itself over TCP now.
    pub fn tls(&self) -> Option<Identity> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What whom may now.
    pub fn rights(&self) -> Arc<Rights> {
        self.rights.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much is allowed now.
    pub fn limits(&self) -> Limits {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
