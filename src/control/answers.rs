//! What the API answers as JSON: each object with the type that it is made of. Owns the list; its description and `docs/json.md` are made of
//! it.

use super::audit::Line;
use super::frames::FollowerStands;
use super::order_lines::{AssignmentLine, SuspensionLine};
use super::routes::{AssignedCount, Index, Noted};
use super::{Status, StoreInfo};
use crate::config::Changes;
use crate::evidence::{Checked, Manifest};
use crate::hold::{HoldLine, HoldsLimit};
use crate::ledger::Losses;
use crate::metrics::status::ClassState;
use crate::query::{Listed, Summary};
use crate::shape::{Described, ErrorAnswer};
use crate::store::verify::Report;

/// All of them.
pub const ANSWERS: &[Described] = &[
    Described::new::<Summary>("Summary").by(&["query --json", "query --count --json"]).to(&[
        "POST /v1/count",
        "POST /v1/query",
        "POST /v1/connections",
        "GET /v1/holds/{name}/packets",
    ]),
    Described::new::<Listed>("Connection").listed(&["connections --json", "POST /v1/connections"]),
    Described::new::<FollowerStands>("FollowerStands").to(&["POST /v1/query with cursors, in frames C"]),
    Described::new::<Losses>("Losses").by(&["losses --json"]).to(&["POST /v1/losses"]),
    Described::new::<StoreInfo>("StoreInfo").by(&["info --json"]).to(&["GET /v1/info"]),
    Described::new::<Report>("Verified").by(&["verify --json"]).to(&["POST /v1/verify"]),
    Described::new::<HoldLine>("Hold")
        .by(&["hold --json", "release --json"])
        .to(&["POST /v1/holds", "POST /v1/holds/{name}/check", "DELETE /v1/holds/{name}"])
        .listed(&["holds --json", "GET /v1/holds"]),
    Described::new::<HoldsLimit>("HoldsLimit").to(&["GET /v1/holds/limit", "PUT /v1/holds"]),
    Described::new::<Status>("Status").by(&["status --json"]).to(&["GET /v1/status"]),
    Described::new::<ClassState>("Class").listed(&["classes --json", "GET /v1/classes"]),
    Described::new::<AssignmentLine>("Assignment")
        .by(&["assign --json", "unassign --json"])
        .to(&["POST /v1/assignments", "DELETE /v1/assignments"])
        .listed(&["assignments --json", "GET /v1/assignments"]),
    Described::new::<AssignedCount>("AssignedCount").to(&["POST /v1/assignments, of a list"]),
    Described::new::<SuspensionLine>("Suspension")
        .by(&["suspend-cutoff --json", "suspend-timeout --json", "resume --json"])
        .to(&["POST /v1/suspensions", "DELETE /v1/suspensions"])
        .listed(&["suspensions --json", "GET /v1/suspensions"]),
    Described::new::<Manifest>("Manifest")
        .by(&["query --manifest FILE", "export"])
        .to(&["GET /v1/holds/{name}/manifest"]),
    Described::new::<Checked>("CheckedManifest").by(&["verify FILE.json --json"]),
    Described::new::<Changes>("Reloaded").by(&["reload --json"]).to(&["POST /v1/reload"]),
    Described::new::<Noted>("Noted").to(&["POST /v1/notes"]),
    Described::new::<Index<'static>>("Index").to(&["GET /v1"]),
    Described::new::<Line>("AuditLine").listed(&["the audit log, STORE/audit/DAY.jsonl"]),
    Described::new::<ErrorAnswer>("Error")
        .by(&["every command with --json, on standard error"])
        .to(&["every request that is refused, and Retrotap-Error"]),
];
