//! The JSON Schema (2020-12) of an object that stands alone, made from its type: fields, types, what they mean.

use super::FORMAT;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// Of the type, as it is written, with the version in front.
pub fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.meta_schema = None;
    let mut schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let format = json!({ "const": FORMAT, "description": "The version of this shape." });
    let object = schema.ensure_object();
    if let Some(fields) = object.entry("properties").or_insert_with(|| json!({})).as_object_mut() {
        fields.shift_insert(0, "format".into(), format);
    }
    if let Some(required) = object.entry("required").or_insert_with(|| json!([])).as_array_mut() {
        required.retain(|field| field != "format");
        required.insert(0, json!("format"));
    }
    let mut schema = schema.to_value();
    without_defaults(&mut schema);
    schema
}

/// What is written always has its fields: a default would say otherwise.
fn without_defaults(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // Not where it is the name of a field.
            if fields.get("default").is_none_or(|d| d.get("type").is_none()) {
                fields.remove("default");
            }
            fields.values_mut().for_each(without_defaults);
        }
        Value::Array(all) => all.iter_mut().for_each(without_defaults),
        _ => {}
    }
}
