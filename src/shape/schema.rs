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
        fields.insert("format".into(), format);
    }
    if let Some(required) = object.entry("required").or_insert_with(|| json!([])).as_array_mut() {
        required.insert(0, json!("format"));
    }
    schema.to_value()
}
