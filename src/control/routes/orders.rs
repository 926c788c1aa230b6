//! Orders: classes of addresses, suspended cutoffs and timeouts. Each goes to capture, which puts it in force and answers. What is begun is
//! entered in the audit log, also if the client goes.

use crate::control::Long;
use crate::control::call::Call;
use crate::control::order_lines::{AssignmentLine, SuspensionLine};
use crate::control::reply;
use crate::limits::{CAPTURE_ANSWERS, ORDERS_OF_MESSAGE};

use crate::messages::{
    self, InForce, ListKind, NoAnswer, Order, OrderError, OrderedBy, OrdersTaken, Prefix, Role, Target,
};
use crate::shape::Count;
use crate::units;
use axum::body::Body;
use axum::http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

type Refused = (u16, String);

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

fn refused(e: &OrderError) -> Refused {
    let status = match e {
        OrderError::Waiting => 503,
        OrderError::Addresses | OrderError::Connections => 507,
        OrderError::Class { .. } => 400,
    };
    (status, e.to_string())
}

fn unanswered(e: NoAnswer) -> Refused {
    (503, e.to_string())
}

/// Does it to the end, also if the client goes.
async fn to_the_end(answer: impl Future<Output = Response<Body>> + Send + 'static) -> Response<Body> {
    tokio::spawn(answer).await.unwrap_or_else(|_| reply::refuse(500, reply::BROKE))
}

/// One order: what it takes back.
async fn order(call: &Call, order: Order) -> Result<Option<InForce>, Refused> {
    let by = OrderedBy::new(&call.caller.name);
    let OrdersTaken { refused: why, was, .. } =
        call.shared.capture.order(&by, vec![order]).await.map_err(unanswered)?;
    match why {
        None => Ok(was),
        Some(why) => Err(refused(&why)),
    }
}

/// Unix time, ns, at which an order ends that begins now.
fn until(lasting: &Long) -> Result<u64, Refused> {
    match lasting.ns().map_err(|e| (400, format!("for: {e}")))? {
        0 => Err((400, "for: an order that lasts no time; write \"10m\" or \"1h\"".into())),
        ns if ns > FOR_MAX => Err((400, "for: longer than a hundred years".into())),
        ns => Ok(units::now().saturating_add(ns)),
    }
}

/// An assignment as it was read; its class may be none.
struct Assigning {
    prefix: Prefix,
    role: Role,
    until: u64,
    class: String,
}

impl Assigning {
    fn read(one: serde_json::Value) -> Result<Assigning, Refused> {
        let a: Assign = serde_json::from_value(one).map_err(|e| (400, format!("no assignment: {e}")))?;
        let prefix = messages::prefix(&a.address).map_err(|why| (400, why))?;
        let role = messages::role(a.role.as_deref()).map_err(|why| (400, why))?;
        Ok(Assigning { prefix, role, until: until(&a.lasting)?, class: a.class })
    }

    /// With these classes, by id.
    fn order(&self, classes: &[Option<String>]) -> Result<Order, OrderError> {
        let Assigning { prefix, role, until, .. } = *self;
        let id = classes.iter().position(|c| c.as_ref() == Some(&self.class)).and_then(|id| id.try_into().ok());
        let class = id.ok_or_else(|| OrderError::class(&self.class, classes))?;
        Ok(Order::Assign { prefix, class, role, until })
    }
}

/// `POST /v1/assignments`: one, or a list.
pub async fn assign(mut call: Call) -> Response<Body> {
    let one = match call.any_json::<serde_json::Value>() {
        Err(why) => return call.refuse(why),
        Ok(serde_json::Value::Array(list)) => return to_the_end(assign_all(call, list)).await,
        Ok(one) => one,
    };
    let one = match Assigning::read(one) {
        Err(why) => return call.refuse(why),
        Ok(one) => one,
    };
    to_the_end(async move {
        match assign_some(&call, std::slice::from_ref(&one)).await {
            Err(why) => return call.refuse(why),
            Ok((_, Some(why))) => return call.refuse(refused(&why)),
            Ok(_) => {}
        }
        let Assigning { prefix, role, until, class } = one;
        let (role, by) = (messages::role_name(role).to_owned(), OrderedBy::new(&call.caller.name).as_str().to_owned());
        call.answer(&AssignmentLine { address: prefix.to_string(), class, role, until, by })
    })
    .await
}

/// The first of these, as many as go in a message: how many of them are in force, and why the next is not.
async fn assign_some(call: &Call, all: &[Assigning]) -> Result<(usize, Option<OrderError>), Refused> {
    let classes = call.shared.capture.classes();
    let orders: Vec<Order> = all.iter().take(ORDERS_OF_MESSAGE).map_while(|one| one.order(&classes).ok()).collect();
    if orders.is_empty() {
        return Ok((0, all.first().and_then(|one| one.order(&classes).err())));
    }
    let by = OrderedBy::new(&call.caller.name);
    let OrdersTaken { taken, refused, .. } = call.shared.capture.order(&by, orders).await.map_err(unanswered)?;
    let why = match (refused, all.get(taken as usize)) {
        // It was there a moment ago.
        (Some(OrderError::Class { .. }), Some(one)) => {
            Some(OrderError::class(&one.class, &call.shared.capture.classes()))
        }
        (why, _) => why,
    };
    Ok((taken as usize, why))
}

async fn assign_all(call: Call, list: Vec<serde_json::Value>) -> Response<Body> {
    // All of it is read before the first is put in force.
    let numbered = |n: usize, (status, why): Refused| (status, format!("number {} of the list: {why}", n + 1));
    let read = list.into_iter().enumerate().map(|(n, one)| Assigning::read(one).map_err(|e| numbered(n, e)));
    let all = match read.collect::<Result<Vec<_>, Refused>>() {
        Ok(all) => all,
        Err(why) => return call.refuse(why),
    };
    let (start, total) = (Instant::now(), all.len());
    let mut done = 0;
    while let Some(rest) = all.get(done..).filter(|rest| !rest.is_empty()) {
        let stopped = match assign_some(&call, rest).await {
            Ok((taken, why)) => {
                done += taken;
                match why {
                    None => continue,
                    // Workers take them some hundreds at a time: the list waits for them.
                    Some(OrderError::Waiting) if start.elapsed() <= CAPTURE_ANSWERS => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    }
                    Some(why) => refused(&why),
                }
            }
            Err(why) => why,
        };
        let (status, why) = stopped;
        return call.refuse((status, format!("{done} of {total} are assigned, then: {why}")));
    }
    call.answer(&AssignedCount { assigned: total as u64 })
}

/// `GET /v1/assignments`.
pub async fn assignments(call: Call) -> Response<Body> {
    let list = match call.shared.capture.list(ListKind::Assignments).await {
        Ok(list) => list,
        Err(why) => return call.refuse(unanswered(why)),
    };
    let classes = call.shared.capture.classes();
    let mut all: Vec<_> = list.iter().filter_map(|one| AssignmentLine::of(one, &classes)).collect();
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
pub async fn unassign(mut call: Call) -> Response<Body> {
    let read = call.json::<Address>().and_then(|a| {
        let prefix = messages::prefix(&a.address).map_err(|why| (400, why))?;
        Ok((prefix, a.address))
    });
    let (prefix, address) = match read {
        Ok(read) => read,
        Err(why) => return call.refuse(why),
    };
    to_the_end(async move {
        let was = order(&call, Order::Unassign(prefix)).await;
        let line = |was: Option<InForce>| AssignmentLine::of(&was?, &call.shared.capture.classes());
        match was.and_then(|was| line(was).ok_or_else(|| (404, format!("{address} has no assignment")))) {
            Ok(was) => call.answer(&was),
            Err(why) => call.refuse(why),
        }
    })
    .await
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
        messages::target(self.conn.as_deref(), self.address.as_deref()).map_err(|why| (400, why))
    }
}

/// `POST /v1/suspensions`.
pub async fn suspend(mut call: Call) -> Response<Body> {
    let read = call.json::<Suspend>().and_then(|s| {
        let target = s.target()?;
        let lasting = s.lasting.as_ref().ok_or((400, "for: how long? write \"10m\" or \"1h\"".to_owned()))?;
        let until = until(lasting)?;
        let timeout = s.timeout.unwrap_or(false);
        let cutoff = s.cutoff.unwrap_or(!timeout);
        if !(cutoff || timeout) {
            return Err((400, "neither cutoff nor timeout is to be suspended".into()));
        }
        let [cutoff, timeout] = [cutoff, timeout].map(|on| if on { until } else { 0 });
        Ok(Order::Suspend { target, cutoff, timeout })
    });
    let suspend = match read {
        Ok(read) => read,
        Err(why) => return call.refuse(why),
    };
    to_the_end(async move {
        let in_force = InForce { order: suspend, by: OrderedBy::new(&call.caller.name) };
        match (order(&call, suspend).await, SuspensionLine::of(&in_force)) {
            (Ok(_), Some(line)) => call.answer(&line),
            (Ok(_), None) => call.refuse((500, reply::BROKE.into())),
            (Err(why), _) => call.refuse(why),
        }
    })
    .await
}

/// `GET /v1/suspensions`.
pub async fn suspensions(call: Call) -> Response<Body> {
    let list = match call.shared.capture.list(ListKind::Suspensions).await {
        Ok(list) => list,
        Err(why) => return call.refuse(unanswered(why)),
    };
    let mut all: Vec<_> = list.iter().filter_map(SuspensionLine::of).collect();
    all.sort_by_key(|s| s.cutoff_until.max(s.timeout_until));
    call.answer_lines(&all)
}

/// `DELETE /v1/suspensions`: both, unless one is named.
pub async fn resume(mut call: Call) -> Response<Body> {
    let read = call.json::<Suspend>().and_then(|s| {
        let neither = s.cutoff.is_none() && s.timeout.is_none();
        let [cutoff, timeout] = [s.cutoff, s.timeout].map(|on| on.unwrap_or(neither));
        Ok((s.target()?, cutoff, timeout))
    });
    let (target, cutoff, timeout) = match read {
        Ok((.., false, false)) => return call.refuse((400, "neither cutoff nor timeout is to be taken back".into())),
        Ok(read) => read,
        Err(why) => return call.refuse(why),
    };
    to_the_end(async move {
        let was = order(&call, Order::Resume { target, cutoff, timeout }).await;
        let line = |was: Option<InForce>| SuspensionLine::of(&was?);
        match was.and_then(|was| line(was).ok_or_else(|| (404, format!("nothing is suspended for {target}")))) {
            Ok(was) => call.answer(&was),
            Err(why) => call.refuse(why),
        }
    })
    .await
}
