//! The body of a request for `_bulk`, and what becomes of each of its operations.

use std::collections::btree_map::Entry;

use serde_json::{Value, json};

use super::{Contents, Refusal};

/// One operation: its line of action and that of its source.
pub struct Operation {
    action: &'static str,
    index: String,
    id: Option<String>,
    /// Parsed when it is run, as the server does: what is wrong with it concerns no other.
    source: Vec<u8>,
}

impl Operation {
    fn result(&self, id: &str, status: u16, rest: &Value) -> Value {
        let mut result = json!({ "_index": self.index, "_id": id, "status": status });
        result.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({ self.action: result })
    }

    /// What is said of one that failed.
    pub fn failed(&self, status: u16, kind: &str, reason: &str) -> Value {
        let id = self.id.clone().unwrap_or_else(|| "made-here".to_owned());
        self.result(&id, status, &json!({ "error": { "type": kind, "reason": reason } }))
    }
}

/// Reads a body; `index` is that of the path.
pub fn parse(body: &[u8], index: Option<&str>) -> Result<Vec<Operation>, Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(400, "parse_exception", "request body is required"));
    }
    let illegal = |reason: String| Err(Refusal::new(400, "illegal_argument_exception", reason));
    let Some(body) = body.strip_suffix(b"\n") else {
        return illegal("The bulk request must be terminated by a newline [\\n]".to_owned());
    };
    let mut operations = Vec::new();
    let mut lines = (1..).zip(body.split(|byte| *byte == b'\n'));
    while let Some((number, line)) = lines.next() {
        // The server passes over an empty line where an action should stand.
        if line.is_empty() {
            continue;
        }
        let malformed =
            |expected: &str| illegal(format!("Malformed action/metadata line [{number}], expected {expected}"));
        let Ok(Value::Object(line)) = serde_json::from_slice::<Value>(line) else { return malformed("START_OBJECT") };
        let mut actions = line.iter();
        let (Some((action, meta)), None) = (actions.next(), actions.next()) else { return malformed("one action") };
        let action = match action.as_str() {
            "create" => "create",
            "index" => "index",
            other => return malformed(&format!("field [create], [delete], [index] or [update] but found [{other}]")),
        };
        let Some(meta) = meta.as_object() else { return malformed("START_OBJECT") };
        let (mut index, mut id) = (index.map(str::to_owned), None);
        for (name, value) in meta {
            let Some(value) = value.as_str() else { return malformed("a value of text") };
            match name.as_str() {
                "_index" => index = Some(value.to_owned()),
                "_id" => id = Some(value.to_owned()),
                "pipeline" | "routing" => {}
                other => {
                    return illegal(format!("Action/metadata line [{number}] contains an unknown parameter [{other}]"));
                }
            }
        }
        let invalid = |what: String| {
            Err(Refusal::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {what};")))
        };
        let Some(index) = index else { return invalid("index is missing".to_owned()) };
        if let Some(id) = id.as_ref().filter(|id| id.len() > 512) {
            return invalid(format!("id [{id}] is too long, must be no longer than 512 bytes but was: {}", id.len()));
        }
        if id.as_deref() == Some("") {
            return illegal("if _id is specified it must not be empty".to_owned());
        }
        let Some((_, source)) = lines.next() else { return malformed("a line with a source behind it") };
        operations.push(Operation { action, index, id, source: source.to_vec() });
    }
    if operations.is_empty() {
        return Err(Refusal::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: no requests added;",
        ));
    }
    Ok(operations)
}

impl Contents {
    /// Runs an operation, and gives its item of the answer.
    pub fn run(&mut self, operation: &Operation) -> Value {
        let name = &operation.index;
        let is_valid = !name.is_empty()
            && !name.starts_with(['-', '_', '+'])
            && !name.chars().any(|character| character.is_uppercase() || "\\/*?\"<>| ,#:".contains(character));
        if !is_valid {
            return operation.failed(400, "invalid_index_name_exception", &format!("Invalid index name [{name}]"));
        }
        let Ok(source @ Value::Object(_)) = serde_json::from_slice::<Value>(&operation.source) else {
            return operation.failed(400, "document_parsing_exception", "failed to parse, document is no object");
        };
        let template = self.templates.values().filter(|template| template.is_for(name)).max_by_key(|one| one.priority);
        if let Some(Err(reason)) = template.map(|template| template.check(&source)) {
            return operation.failed(400, "document_parsing_exception", &reason);
        }
        let documents = self.indices.entry(name.clone()).or_default();
        let id = operation.id.clone().unwrap_or_else(|| format!("made-here-{}", documents.len()));
        match (documents.entry(id.clone()), operation.action) {
            (Entry::Occupied(_), "create") => {
                self.conflicts += 1;
                let reason = format!("[{id}]: version conflict, document already exists (current version [1])");
                operation.failed(409, "version_conflict_engine_exception", &reason)
            }
            (Entry::Occupied(mut there), _) => {
                there.insert(source);
                operation.result(&id, 200, &json!({ "_version": 2, "result": "updated" }))
            }
            (Entry::Vacant(place), _) => {
                place.insert(source);
                operation.result(&id, 201, &json!({ "_version": 1, "result": "created" }))
            }
        }
    }
}
