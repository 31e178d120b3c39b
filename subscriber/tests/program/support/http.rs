//! A client of the API that holds every answer against the API's own description.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

/// How long anything is waited for that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API of a subscriber.
pub struct Api {
    base: String,
    client: Client,
    description: Value,
    /// What was asked so far, as `GET /path/{id}`.
    pub asked: RefCell<BTreeSet<String>>,
}

impl Api {
    /// Reads the description.
    pub async fn at(base: &str) -> Self {
        let client = Client::builder().read_timeout(PATIENCE).build().unwrap();
        let description = client.get(format!("{base}/api/v1/openapi.json")).send().await.unwrap();
        let description = serde_json::from_str(&description.text().await.unwrap()).unwrap();
        Self { base: base.to_owned(), client, description, asked: RefCell::default() }
    }

    /// Every operation of the description, as `GET /path/{id}`; each has to have a name of its own.
    pub fn operations(&self) -> BTreeSet<String> {
        let paths = self.description["paths"].as_object().unwrap();
        let mut operations = BTreeSet::new();
        let mut names = BTreeSet::new();
        for (path, item) in paths {
            for (method, operation) in item.as_object().unwrap() {
                operations.insert(format!("{} {path}", method.to_uppercase()));
                assert!(
                    names.insert(operation["operationId"].as_str().unwrap()),
                    "a second one of this name: {operation}"
                );
            }
        }
        operations
    }

    /// A request, to be changed and sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Gets JSON.
    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, "").await;
        assert_eq!(status, 200, "GET {path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Posts a body and gets JSON.
    pub async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let (status, answer) = self.ask(Method::POST, path, body).await;
        (status, serde_json::from_str(&answer).unwrap())
    }

    /// Asks, and holds the answer against the description; its status and its text.
    pub async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        let request = self.request(method.clone(), path).body(body.to_owned());
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers()["content-type"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let text = response.text().await.unwrap();
        self.check(&method, path, status, &kind, &text);
        (status, text)
    }

    /// Holds an answer against the description.
    pub fn check(&self, method: &Method, path: &str, status: u16, kind: &str, text: &str) {
        let asked = format!("{method} {path}: {status} {kind}");
        let Some((template, item)) = self.described(path) else {
            assert_eq!((status, kind), (404, "application/problem+json"), "{asked}");
            return;
        };
        let operation = &item[method.as_str().to_lowercase()];
        if operation.is_null() {
            assert_eq!((status, kind), (405, "application/problem+json"), "{asked}");
            return;
        }
        self.asked.borrow_mut().insert(format!("{method} {template}"));
        let responses = operation["responses"].as_object().unwrap();
        let response = responses.get(&status.to_string()).or_else(|| responses.get("default"));
        let content = &response.unwrap_or_else(|| panic!("{asked}: not described"))["content"][kind];
        assert!(content.is_object(), "{asked}: this kind of content is not described");
        if kind.ends_with("/json") || kind.ends_with("+json") {
            self.check_schema(&content["schema"], &serde_json::from_str(text).unwrap(), &asked);
        }
    }

    /// Holds a value against one of the description's schemas.
    pub fn check_named(&self, schema: &str, value: &Value) {
        self.check_schema(&serde_json::json!({"$ref": format!("#/components/schemas/{schema}")}), value, schema);
    }

    fn check_schema(&self, schema: &Value, value: &Value, what: &str) {
        let mut schema = schema.clone();
        schema["components"] = self.description["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{what}: {errors:#?} in {value:#}");
    }

    /// The description of a path.
    fn described(&self, path: &str) -> Option<(&str, &Value)> {
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let (template, path) = (template.split('/'), path.split('/'));
            template.clone().count() == path.clone().count()
                && template.zip(path).all(|(part, given)| part == given || part.starts_with('{') && !given.is_empty())
        };
        let paths = self.description["paths"].as_object().unwrap();
        paths.iter().find(|(template, _)| fits(template)).map(|(template, item)| (template.as_str(), item))
    }

    /// Opens the event stream, which has to begin with a hello.
    pub async fn events(&self) -> Events {
        let response = self.request(Method::GET, "/api/v1/events").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        self.asked.borrow_mut().insert("GET /api/v1/events".to_owned());
        let mut events = Events { response, text: String::new() };
        let (name, hello) = events.next().await.unwrap();
        assert_eq!(name, "hello");
        self.check_named("Hello", &hello);
        events
    }
}

/// An event stream.
pub struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The next event and its data; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let lines: Vec<_> = event.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
                if let [("event", name), ("data", data)] = lines[..] {
                    return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
                }
            }
            let bytes = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event of a name that is as wanted; each event before it is held against the description.
    pub async fn wait_for(&mut self, api: &Api, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (seen, data) = self.next().await.expect("the stream goes on");
            let schema = if seen == "flip" { "Flip" } else { "Update" };
            api.check_named(schema, &data);
            if seen == name && wanted(&data) {
                return data;
            }
        }
    }
}
