//! Who asks, holds or releases, as this process knows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who did something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Who {
    /// Effective user id; none: it came over TCP, with a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Name of the user, the one behind sudo where that is known; or of the token.
    pub user: String,
    /// Name of the machine, or its address.
    pub host: String,
}

impl Who {
    /// Who runs this process.
    pub fn me() -> Who {
        let uid = rustix::process::geteuid().as_raw();
        let behind = std::env::var("SUDO_USER").ok().filter(|name| uid == 0 && !name.is_empty());
        let user = behind.or_else(|| Some(uzers::get_user_by_uid(uid)?.name().to_string_lossy().into_owned()));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Who { uid: Some(uid), user: user.unwrap_or_default(), host }
    }
}
