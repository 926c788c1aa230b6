//! What a summary says is missing, as a list of reasons, each named as in its JSON.

use retrotap::query::Summary;
use serde_json::Value;

/// The reasons; an error where the summary contradicts itself.
pub fn of(s: &Summary) -> Result<Vec<String>, String> {
    let v = serde_json::to_value(s).map_err(|e| e.to_string())?;
    let list = v["incomplete"].as_array().ok_or("it has no list of what is missing")?;
    let why = |r: &Value| r["why"].as_str().unwrap_or("?").to_owned();
    let reasons: Vec<String> = list.iter().map(why).collect();
    match v["complete"].as_bool() {
        Some(complete) if complete == (reasons.is_empty() && s.incomplete_more == 0) => Ok(reasons),
        complete => Err(format!("complete: {complete:?}, and lacking are {list:?}")),
    }
}
