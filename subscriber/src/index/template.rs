//! The index template: what type each field has. Its source is `template.json`.

use serde_json::{Value, json};

use super::name::IndexName;

const SOURCE: &str = include_str!("template.json");

/// The body of `PUT _index_template/…` for these indices.
///
/// # Panics
/// Never: the source is tested to be JSON.
pub fn body(name: &IndexName) -> Value {
    let mut body: Value = serde_json::from_str(SOURCE).expect("invariant: template.json is JSON");
    body["index_patterns"] = json!([name.wildcard()]);
    body
}

/// The fields that have a type.
#[cfg(test)]
pub fn properties() -> serde_json::Map<String, Value> {
    body(&IndexName::default())["template"]["mappings"]["properties"].as_object().unwrap().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_for_the_indices_that_are_written() {
        assert_eq!(body(&IndexName::default())["index_patterns"], json!(["logstash-*"]));
        assert_eq!(body(&"swarm".parse().unwrap())["index_patterns"], json!(["swarm"]));
        assert_eq!(properties()["@timestamp"]["type"], "date");
    }
}
