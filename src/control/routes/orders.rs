//! Orders: classes of addresses, suspended cutoffs and timeouts. Each goes straight into the workers' mailboxes.

use crate::control::Long;
use crate::control::call::Call;
use crate::shape::Count;
use crate::steer::{
    self, Assigned, Assignment, AssignmentLine, Prefix, RegistryError, SteerError, Suspended, SuspensionLine, Target,
};
use crate::units;
use axum::body::Body;
use axum::http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

type Refused = (u16, String);

/// A list waits this long for the workers to take it.
const LIST: Duration = Duration::from_secs(10);
/// Longest time that an order can have: a hundred years.
const FOR_MAX: u64 = 100 * 366 * 86_400 * 1_000_000_000;

/// A list of assignments was put in force.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AssignedCount {
    /// How many.
    #[serde(with = "Count")]
    pub assigned: u64,
}

/// One assignment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assign {
    address: String,
    class: String,
    #[serde(rename = "for")]
    lasting: Long,
    role: Option<String>,
}

fn refused(e: &SteerError) -> Refused {
    let status = match e {
        SteerError::Full | SteerError::Silent(_) => 503,
        SteerError::Registry(RegistryError::Full { .. }) => 507,
        SteerError::Registry(RegistryError::Class { .. }) => 400,
    };
    (status, e.to_string())
}

/// Unix time, ns, at which an order ends that begins now.
fn until(lasting: &Long) -> Result<u64, Refused> {
    match lasting.ns().map_err(|e| (400, format!("for: {e}")))? {
        0 => Err((400, "for: an order that lasts no time; write \"10m\" or \"1h\"".into())),
        ns if ns > FOR_MAX => Err((400, "for: longer than a hundred years".into())),
        ns => Ok(units::now().saturating_add(ns)),
    }
}

fn read(one: serde_json::Value, by: &str) -> Result<(Prefix, Assignment), Refused> {
    let a: Assign = serde_json::from_value(one).map_err(|e| (400, format!("no assignment: {e}")))?;
    let prefix = steer::prefix(&a.address).map_err(|why| (400, why))?;
    let role = steer::role(a.role.as_deref()).map_err(|why| (400, why))?;
    Ok((prefix, Assignment { class: a.class, role, until: until(&a.lasting)?, by: by.to_owned() }))
}

/// `POST /v1/assignments`: one, or a list.
pub async fn assign(mut call: Call) -> Response<Body> {
    let one = match call.any_json::<serde_json::Value>() {
        Err(why) => return call.refuse(why),
        Ok(serde_json::Value::Array(list)) => return assign_all(call, list).await,
        Ok(one) => one,
    };
    let put = read(one, &call.caller.name).and_then(|(prefix, assignment)| {
        let answer = AssignmentLine::from(Assigned::of(&prefix, &assignment));
        call.shared.steering.assign(prefix, assignment).map_err(|e| refused(&e))?;
        Ok(answer)
    });
    match put {
        Ok(answer) => call.answer(&answer),
        Err(why) => call.refuse(why),
    }
}

async fn assign_all(call: Call, list: Vec<serde_json::Value>) -> Response<Body> {
    // All of it is read before the first is put in force.
    let numbered = |n: usize, (status, why): Refused| (status, format!("number {} of the list: {why}", n + 1));
    let by = call.caller.name.clone();
    let read = list.into_iter().enumerate().map(|(n, one)| read(one, &by).map_err(|e| numbered(n, e)));
    let all = match read.collect::<Result<Vec<_>, Refused>>() {
        Ok(all) => all,
        Err(why) => return call.refuse(why),
    };
    let (start, total) = (Instant::now(), all.len());
    for (n, (prefix, assignment)) in all.into_iter().enumerate() {
        while let Err(e) = call.shared.steering.assign(prefix, assignment.clone()) {
            if e != SteerError::Full || start.elapsed() > LIST {
                let (status, why) = refused(&e);
                return call.refuse((status, format!("{n} of {total} are assigned, then: {why}")));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Others have a turn.
        if n % 256 == 255 {
            tokio::task::yield_now().await;
        }
    }
    call.answer(&AssignedCount { assigned: total as u64 })
}

/// `GET /v1/assignments`.
pub fn assignments(call: Call) -> Response<Body> {
    let mut all: Vec<AssignmentLine> =
        call.shared.steering.orders().assignments.into_iter().map(AssignmentLine::from).collect();
    all.sort_by(|a, b| (a.until, &a.address).cmp(&(b.until, &b.address)));
    call.answer_lines(&all)
}

/// Whom an order is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    address: String,
}

/// `DELETE /v1/assignments`.
pub fn unassign(mut call: Call) -> Response<Body> {
    let taken = call.json::<Address>().and_then(|a| {
        let prefix = steer::prefix(&a.address).map_err(|why| (400, why))?;
        let was = call.shared.steering.unassign(prefix).map_err(|e| refused(&e))?;
        was.map(AssignmentLine::from).ok_or_else(|| (404, format!("{} has no assignment", a.address)))
    });
    match taken {
        Ok(was) => call.answer(&was),
        Err(why) => call.refuse(why),
    }
}

/// A suspension.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suspend {
    conn: Option<String>,
    address: Option<String>,
    #[serde(rename = "for")]
    lasting: Option<Long>,
    cutoff: Option<bool>,
    timeout: Option<bool>,
}

impl Suspend {
    fn target(&self) -> Result<Target, Refused> {
        steer::target(self.conn.as_deref(), self.address.as_deref()).map_err(|why| (400, why))
    }
}

/// `POST /v1/suspensions`.
pub fn suspend(mut call: Call) -> Response<Body> {
    let put = call.json::<Suspend>().and_then(|s| {
        let target = s.target()?;
        let lasting = s.lasting.as_ref().ok_or((400, "for: how long? write \"10m\" or \"1h\"".to_owned()))?;
        let until = until(lasting)?;
        let timeout = s.timeout.unwrap_or(false);
        let cutoff = s.cutoff.unwrap_or(!timeout);
        if !(cutoff || timeout) {
            return Err((400, "neither cutoff nor timeout is to be suspended".into()));
        }
        let [cutoff, timeout] = [cutoff, timeout].map(|on| if on { until } else { 0 });
        call.shared.steering.suspend(target, cutoff, timeout, &call.caller.name).map_err(|e| refused(&e))?;
        let by = call.caller.name.clone();
        Ok(SuspensionLine::from(Suspended::of(&target, &steer::Suspension { cutoff, timeout, by })))
    });
    match put {
        Ok(answer) => call.answer(&answer),
        Err(why) => call.refuse(why),
    }
}

/// `GET /v1/suspensions`.
pub fn suspensions(call: Call) -> Response<Body> {
    let mut all: Vec<SuspensionLine> =
        call.shared.steering.orders().suspensions.into_iter().map(SuspensionLine::from).collect();
    all.sort_by_key(|s| s.cutoff_until.max(s.timeout_until));
    call.answer_lines(&all)
}

/// `DELETE /v1/suspensions`: both, unless one is named.
pub fn resume(mut call: Call) -> Response<Body> {
    let taken = call.json::<Suspend>().and_then(|s| {
        let target = s.target()?;
        let neither = s.cutoff.is_none() && s.timeout.is_none();
        let [cutoff, timeout] = [s.cutoff, s.timeout].map(|on| on.unwrap_or(neither));
        let was = call.shared.steering.resume(target, cutoff, timeout).map_err(|e| refused(&e))?;
        was.map(SuspensionLine::from).ok_or_else(|| (404, format!("nothing is suspended for {target}")))
    });
    match taken {
        Ok(was) => call.answer(&was),
        Err(why) => call.refuse(why),
    }
}
