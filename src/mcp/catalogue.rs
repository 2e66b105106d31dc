//! What a server says it offers: the results of its list requests, page by page.
//!
//! A listing is a claim of the server. It can show that a policy was written for something else; it
//! never decides anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::json;
use super::malformed::{Malformed, MalformedCode};
use super::message::Limits;
use crate::model::ResourceKind;

/// The lists by the key that holds their entries, with the kind of their entries.
const LISTS: [(&str, ResourceKind); 4] = [
    ("tools", ResourceKind::Tool),
    ("prompts", ResourceKind::Prompt),
    ("resources", ResourceKind::Resource),
    ("resourceTemplates", ResourceKind::Resource),
];

/// The tools, prompts and resources that one server listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    schemas: BTreeMap<(ResourceKind, String), Option<Value>>,
    uris: BTreeSet<String>,
    /// Pages of each list, and those of them that another page follows.
    pages: BTreeMap<&'static str, (usize, usize)>,
}

impl Catalogue {
    /// Adds one page: the result of `tools/list`, `prompts/list`, `resources/list` or
    /// `resources/templates/list`, alone or within its JSON-RPC response.
    ///
    /// # Errors
    ///
    /// What is not such a result, and an entry without its name.
    pub fn add(&mut self, page: &[u8], limits: Limits) -> Result<(), Malformed> {
        if page.len() > limits.bytes {
            return Err(Malformed::new(MalformedCode::TooLarge, format!("more than {} bytes", limits.bytes)));
        }
        let page = json::read(page, limits.depth)?;
        let result = page.get("result").unwrap_or(&page);
        let mut any = false;
        for (key, kind) in LISTS {
            let Some(list) = result.get(key) else { continue };
            let list = list.as_array().ok_or_else(|| bad(format!("`{key}` is not a list")))?;
            for entry in list {
                self.entry(key, kind, entry)?;
            }
            let pages = self.pages.entry(key).or_default();
            pages.0 += 1;
            pages.1 += usize::from(result.get("nextCursor").is_some_and(|cursor| !cursor.is_null()));
            any = true;
        }
        if any { Ok(()) } else { Err(bad("no `tools`, `prompts`, `resources` or `resourceTemplates`")) }
    }

    fn entry(&mut self, list: &str, kind: ResourceKind, entry: &Value) -> Result<(), Malformed> {
        let named = |key: &str| {
            let text = entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| bad(format!("an entry of `{list}` has no `{key}`")))
        };
        let schema = match list {
            "tools" => entry.get("inputSchema").cloned(),
            "prompts" => Some(arguments(entry)),
            "resources" => {
                self.uris.insert(named("uri")?);
                return Ok(());
            }
            // A template says nothing about which of its URIs there are.
            _ => return named("uriTemplate").map(|_| ()),
        };
        self.schemas.insert((kind, named("name")?), schema);
        Ok(())
    }

    /// Whether every tool or every prompt is known: no page of their list is missing.
    pub fn is_complete(&self, kind: ResourceKind) -> bool {
        let of_kind = LISTS.iter().filter(|(_, of)| *of == kind);
        let mut pages = of_kind.filter_map(|(key, _)| self.pages.get(key)).peekable();
        pages.peek().is_some() && pages.all(|(all, followed)| all > followed)
    }

    /// The names of the tools or prompts, sorted.
    pub fn names(&self, kind: ResourceKind) -> impl Iterator<Item = &str> {
        self.schemas.keys().filter(move |(of, _)| *of == kind).map(|(_, name)| name.as_str())
    }

    /// The URIs of the resources, sorted.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().map(String::as_str)
    }

    /// The JSON Schema of the arguments of a tool or prompt, where the server gives one.
    pub fn schema(&self, kind: ResourceKind, name: &str) -> Option<&Value> {
        self.schemas.get(&(kind, name.to_owned()))?.as_ref()
    }
}

/// The arguments of a prompt, which are a list of names, as the schema that they amount to.
fn arguments(prompt: &Value) -> Value {
    let list = prompt.get("arguments").and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(|argument| argument.get("name")?.as_str());
    let properties: Map<String, Value> = names.map(|name| (name.to_owned(), json!({ "type": "string" }))).collect();
    json!({ "type": "object", "properties": properties })
}

fn bad(message: impl Into<String>) -> Malformed {
    Malformed::new(MalformedCode::Params, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(catalogue: &mut Catalogue, page: &str) -> Result<(), String> {
        catalogue.add(page.as_bytes(), Limits::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn pages_add_up_and_a_missing_one_is_known() {
        let mut catalogue = Catalogue::default();
        add(&mut catalogue, r#"{"tools":[{"name":"b","inputSchema":{"type":"object"}}],"nextCursor":""}"#).unwrap();
        assert!(!catalogue.is_complete(ResourceKind::Tool), "an empty cursor is a cursor");
        add(&mut catalogue, r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}],"nextCursor":null}}"#).unwrap();
        assert!(catalogue.is_complete(ResourceKind::Tool));
        assert!(!catalogue.is_complete(ResourceKind::Prompt), "nobody asked");
        assert_eq!(catalogue.names(ResourceKind::Tool).collect::<Vec<_>>(), ["a", "b"]);
        assert!(catalogue.schema(ResourceKind::Tool, "b").is_some());
        assert!(catalogue.schema(ResourceKind::Tool, "a").is_none());
        add(&mut catalogue, r#"{"prompts":[{"name":"p","arguments":[{"name":"x"}]}],"resources":[{"uri":"a:b"}]}"#)
            .unwrap();
        assert_eq!(catalogue.uris().collect::<Vec<_>>(), ["a:b"]);
        let schema = catalogue.schema(ResourceKind::Prompt, "p").unwrap();
        assert_eq!(schema.pointer("/properties/x/type").unwrap(), "string");
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        let refused: Vec<String> = [
            "[]",
            "{}",
            r#"{"error":{"code":1}}"#,
            r#"{"tools":{}}"#,
            r#"{"tools":[{"title":"x"}]}"#,
            r#"{"resources":[{"name":"x"}]}"#,
            r#"{"tools":[],"tools":[]}"#,
        ]
        .iter()
        .map(|page| add(&mut Catalogue::default(), page).unwrap_err())
        .collect();
        insta::assert_snapshot!(refused.join("\n"), @"
        no `tools`, `prompts`, `resources` or `resourceTemplates` (message-params)
        no `tools`, `prompts`, `resources` or `resourceTemplates` (message-params)
        no `tools`, `prompts`, `resources` or `resourceTemplates` (message-params)
        `tools` is not a list (message-params)
        an entry of `tools` has no `name` (message-params)
        an entry of `resources` has no `uri` (message-params)
        ambiguous key `tools` (message-ambiguous-key)
        ");
    }
}
