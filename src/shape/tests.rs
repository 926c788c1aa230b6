//! What the adapters write, that it is read back, and that nothing gets out another way.

use super::*;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct All {
    /// When.
    #[serde(with = "Time")]
    time: u64,
    #[serde(with = "Maybe::<Time>")]
    until: Option<u64>,
    #[serde(with = "Seconds")]
    took_seconds: u64,
    #[serde(with = "Count")]
    packets: u64,
    #[serde(with = "Maybe::<Count>")]
    limit: Option<u64>,
    #[serde(with = "Each::<Count>")]
    causes: BTreeMap<String, u64>,
    gaps: Vec<Period>,
    #[serde(with = "Periods")]
    pairs: Vec<(u64, u64)>,
    about: Value,
}

#[test]
fn each_kind_has_one_form() {
    let all = All {
        time: 1_700_000_000_000_000_001,
        took_seconds: 33_000,
        packets: EXACT_MAX,
        limit: Some(EXACT_MAX + 1),
        causes: BTreeMap::from([("flood".into(), 3)]),
        gaps: vec![(0, u64::MAX).into()],
        pairs: vec![(1, 2)],
        about: json!({ "flow_id": u64::MAX, "delta": i64::MIN, "sid": 2_024_897 }),
        ..All::default()
    };
    let said: Value = serde_json::from_str(&text(&all)).unwrap();
    assert_eq!(
        said,
        json!({
            "format": 1, "time": "2023-11-14T22:13:20.000000001Z", "until": null, "took_seconds": 0.000033,
            "packets": EXACT_MAX, "limit": "9007199254740993", "causes": { "flood": 3 },
            "gaps": [{ "from": "1970-01-01T00:00:00.000000000Z", "to": "2554-07-21T23:34:33.709551615Z" }],
            "pairs": [{ "from": "1970-01-01T00:00:00.000000001Z", "to": "1970-01-01T00:00:00.000000002Z" }],
            "about": { "flow_id": "18446744073709551615", "delta": "-9223372036854775808", "sid": 2_024_897 },
        })
    );
    assert!(text(&all).starts_with("{\"format\":1,\"time\":"), "the version comes first");
    let schema = jsonschema::validator_for(&schema_of::<All>()).unwrap();
    assert!(schema.is_valid(&said), "{:?} {}", schema.iter_errors(&said).collect::<Vec<_>>(), schema_of::<All>());
    for (key, wrong) in [
        ("format", json!(2)),
        ("time", json!("2023-11-14T22:13:20Z")),
        ("time", json!(5)),
        ("pairs", json!([[1, 2]])),
        ("time", Value::Null),
        ("took_seconds", json!("5s")),
        ("packets", json!(EXACT_MAX + 2)),
        ("packets", json!("17")),
        ("until", json!(0)),
        ("causes", json!({ "flood": -1 })),
        ("gaps", json!([[1, 2]])),
    ] {
        let mut other = said.clone();
        other[key] = wrong;
        assert!(!schema.is_valid(&other), "{key}: {}", other[key]);
    }
    let mut less = said;
    less.as_object_mut().unwrap().remove("until");
    assert!(!schema.is_valid(&less), "a field that has no value is null, not missing");
}

#[test]
fn what_is_none_is_refused() {
    let read = |key: &str, value: Value| {
        let mut all = serde_json::to_value(All::default()).unwrap();
        all[key] = value;
        serde_json::from_value::<All>(all).map_err(|e| e.to_string())
    };
    assert!(read("packets", json!("soon")).unwrap_err().contains("no count"));
    assert!(read("packets", json!(-1)).is_err() && read("packets", json!(1.5)).is_err());
    assert!(read("time", json!("yesterday")).unwrap_err().contains("no time"));
    assert!(read("time", json!("1969-12-31T23:59:59Z")).unwrap_err().contains("before 1970"));
    for wrong in [json!(-1), json!(1e300), json!("5")] {
        assert!(read("took_seconds", wrong).is_err());
    }
    assert_eq!(read("packets", json!("18446744073709551615")).unwrap().packets, u64::MAX);
    // As a hold.json of version 1 has them.
    assert_eq!(read("time", json!(7)).unwrap().time, 7);
    assert_eq!(read("pairs", json!([[1, 2], [3, 4]])).unwrap().pairs, [(1, 2), (3, 4)]);
}

#[test]
fn errors_and_ends() {
    let error = serde_json::from_str::<Value>(&text(&ErrorAnswer::of_status(404, "no hold x"))).unwrap();
    assert_eq!(error, json!({ "format": 1, "error": { "kind": "not_found", "message": "no hold x", "status": 404 } }));
    let end = |address: &str, port| Endpoint { address: Some(address.into()), port };
    let ends = Ends { protocol: "tcp".into(), a: end("2001:db8::1", Some(5)), b: end("10.0.0.1", Some(80)) };
    assert_eq!(ends.to_string(), "tcp [2001:db8::1]:5 10.0.0.1:80");
    assert_eq!(end("00:11:22:33:44:55", None).to_string(), "00:11:22:33:44:55");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(time: u64, packets: u64, took in 0u64..1 << 50, limit: Option<u64>, cause: u64) {
        let all = All {
            time, packets, limit, took_seconds: took, until: limit,
            causes: BTreeMap::from([("c".into(), cause)]), gaps: vec![(time, packets).into()],
            pairs: vec![(packets, time)], about: json!({}),
        };
        let said = text(&all);
        prop_assert_eq!(serde_json::from_str::<All>(&said).unwrap(), all.clone());
        // Also where a part of it is flattened into another, and where it is no text any more.
        let value: Value = serde_json::from_str(&said).unwrap();
        prop_assert_eq!(serde_json::from_value::<All>(value).unwrap(), all);
    }
}
