//! [`Template`]: an index template, and whether a document fits its types.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::Refusal;

/// The types this stand-in knows.
const TYPES: [&str; 6] = ["date", "keyword", "text", "long", "double", "object"];

/// A composable template with explicit types.
pub struct Template {
    patterns: Vec<String>,
    /// The highest of those that fit goes.
    pub priority: u64,
    properties: Map<String, Value>,
}

impl Template {
    /// Reads and checks one, strictly.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let unknown = |place: &str, name: &str| {
            Refusal::new(400, "x_content_parse_exception", format!("[{place}] unknown field [{name}]"))
        };
        let wrong = |reason: &str| Refusal::new(400, "illegal_argument_exception", reason);
        let mapping = |reason: String| Refusal::new(400, "mapper_parsing_exception", reason);
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Err(wrong("no object")) };
        let known = ["index_patterns", "template", "priority", "version", "_meta", "composed_of", "data_stream"];
        if let Some(name) = body.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(unknown("index_template", name));
        }
        let patterns = body.get("index_patterns").and_then(Value::as_array).filter(|patterns| !patterns.is_empty());
        let patterns = patterns.ok_or_else(|| wrong("Required [index_patterns]"))?;
        let patterns = patterns.iter().map(|pattern| pattern.as_str().expect("a pattern is a text").to_owned());
        let template = body.get("template").and_then(Value::as_object).ok_or_else(|| wrong("no [template]"))?;
        if let Some(name) = template.keys().find(|name| !["settings", "mappings", "aliases"].contains(&name.as_str())) {
            return Err(unknown("template", name));
        }
        let mappings = template["mappings"].as_object().ok_or_else(|| wrong("no [mappings]"))?;
        if let Some(name) = mappings.keys().find(|name| !["dynamic", "properties", "_meta"].contains(&name.as_str())) {
            return Err(mapping(format!("Root mapping definition has unsupported parameters: [{name}]")));
        }
        let properties = mappings["properties"].as_object().ok_or_else(|| wrong("no [properties]"))?;
        for (name, property) in properties {
            let kind = property["type"].as_str().unwrap_or_default();
            if !TYPES.contains(&kind) {
                return Err(mapping(format!("No handler for type [{kind}] declared on field [{name}]")));
            }
        }
        let priority = body.get("priority").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { patterns: patterns.collect(), priority, properties: properties.clone() })
    }

    /// Whether it is for an index; a pattern may end in `*`.
    pub fn is_for(&self, index: &str) -> bool {
        self.patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(stem) => index.starts_with(stem),
            None => index == pattern,
        })
    }

    /// Whether another may not stand beside it.
    pub fn rivals(&self, other: &Self) -> bool {
        let stem = |pattern: &str| pattern.trim_end_matches('*').to_owned();
        let overlap = |a: &str, b: &str| self.is_for(&stem(b)) || other.is_for(&stem(a)) || a == b;
        let any = self.patterns.iter().any(|a| other.patterns.iter().any(|b| overlap(a, b)));
        self.priority == other.priority && any
    }

    /// Whether a document's fields are of their types, in the server's words if not.
    pub fn check(&self, source: &Value) -> Result<(), String> {
        for (name, value) in source.as_object().expect("a document is an object") {
            let Some(property) = self.properties.get(name).filter(|_| !value.is_null()) else { continue };
            let kind = property["type"].as_str().unwrap_or_default();
            if !fits(kind, value, property) {
                return Err(format!("failed to parse field [{name}] of type [{kind}]"));
            }
        }
        Ok(())
    }
}

/// `coerce` is on where nothing is said: a number may stand in a text, and one with a fraction for a whole one.
fn fits(kind: &str, value: &Value, property: &Value) -> bool {
    match (kind, value) {
        ("date", Value::String(text)) => DateTime::parse_from_rfc3339(text).is_ok(),
        ("date" | "double", Value::Number(_))
        | ("keyword", Value::Number(_) | Value::Bool(_))
        | ("text", Value::String(_) | Value::Number(_) | Value::Bool(_)) => true,
        ("long", Value::Number(number)) => number.as_f64().is_some_and(|number| number.abs() < 9.3e18),
        ("long" | "double", Value::String(text)) => text.parse::<f64>().is_ok_and(f64::is_finite),
        ("keyword", Value::String(text)) => text.len() <= 32_766 || property["ignore_above"].is_number(),
        ("object", value) => value.is_object(),
        _ => false,
    }
}
