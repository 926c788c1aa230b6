//! An adapter is a way to write a value that the program keeps as a number. Owns what all adapters share: the same for values that may
//! be missing ([`Maybe`]) and for maps by name ([`Each`]).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// How a number is written and read back. A type that has this also has functions `serialize` and `deserialize`, so that
/// `#[serde(with = "...")]` takes it, and a schema of the same name.
pub trait Adapter: JsonSchema {
    /// Writes.
    fn write<S: Serializer>(value: u64, to: S) -> Result<S::Ok, S::Error>;
    /// Reads what [`write`](Adapter::write) wrote.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error>;
}

/// Gives an adapter the functions that serde looks for.
macro_rules! serde_with {
    ($adapter:ty) => {
        impl $adapter {
            /// For serde.
            pub fn serialize<S: serde::Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
                <$adapter as $crate::shape::Adapter>::write(*value, to)
            }

            /// For serde.
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
                <$adapter as $crate::shape::Adapter>::read(from)
            }
        }
    };
}
pub(super) use serde_with;

/// One value through its adapter.
struct Through<A>(u64, PhantomData<A>);

impl<A: Adapter> Serialize for Through<A> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        A::write(self.0, to)
    }
}

impl<'de, A: Adapter> Deserialize<'de> for Through<A> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Through<A>, D::Error> {
        Ok(Through(A::read(from)?, PhantomData))
    }
}

/// A value that may be missing: then null.
pub struct Maybe<A>(PhantomData<A>);

impl<A: Adapter> Maybe<A> {
    /// For serde.
    pub fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(|v| Through::<A>(v, PhantomData)).serialize(to)
    }

    /// For serde.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Ok(Option::<Through<A>>::deserialize(from)?.map(|t| t.0))
    }
}

impl<A: Adapter> JsonSchema for Maybe<A> {
    fn schema_name() -> Cow<'static, str> {
        format!("Maybe{}", A::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(of: &mut SchemaGenerator) -> Schema {
        of.subschema_for::<Option<Carrier<A>>>()
    }
}

/// Values one after another.
pub struct Many<A>(PhantomData<A>);

impl<A: Adapter> Many<A> {
    /// For serde.
    pub fn serialize<S: Serializer>(values: &[u64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|v| Through::<A>(*v, PhantomData)))
    }

    /// For serde.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
        Ok(Vec::<Through<A>>::deserialize(from)?.into_iter().map(|t| t.0).collect())
    }
}

impl<A: Adapter> JsonSchema for Many<A> {
    fn schema_name() -> Cow<'static, str> {
        format!("Many{}", A::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(of: &mut SchemaGenerator) -> Schema {
        of.subschema_for::<Vec<Carrier<A>>>()
    }
}

/// Values by name.
pub struct Each<A>(PhantomData<A>);

impl<A: Adapter> Each<A> {
    /// For serde.
    pub fn serialize<S: Serializer>(values: &BTreeMap<String, u64>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(values.iter().map(|(name, v)| (name, Through::<A>(*v, PhantomData))))
    }

    /// For serde.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, u64>, D::Error> {
        let read = BTreeMap::<String, Through<A>>::deserialize(from)?;
        Ok(read.into_iter().map(|(name, t)| (name, t.0)).collect())
    }
}

impl<A: Adapter> JsonSchema for Each<A> {
    fn schema_name() -> Cow<'static, str> {
        format!("Each{}", A::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(of: &mut SchemaGenerator) -> Schema {
        let value = of.subschema_for::<A>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// An adapter where a value is wanted, for its schema alone.
struct Carrier<A>(PhantomData<A>);

impl<A: Adapter> JsonSchema for Carrier<A> {
    fn schema_name() -> Cow<'static, str> {
        A::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        A::schema_id()
    }

    fn json_schema(of: &mut SchemaGenerator) -> Schema {
        A::json_schema(of)
    }
}
