//! The parts of SARIF 2.1.0 that are written, by the names of the standard.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::report::text::pretty;

/// One run of one tool as a document.
pub(in crate::report) fn render(rules: Vec<Rule>, results: Vec<Finding<'_>>) -> String {
    let driver =
        Driver { name: "doorward", semantic_version: env!("CARGO_PKG_VERSION"), information_uri: repository(), rules };
    pretty(&Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results }],
    })
}

/// Where the package lives, when it says so; help URIs must be absolute.
pub(in crate::report) fn repository() -> Option<&'static str> {
    Some(env!("CARGO_PKG_REPOSITORY")).filter(|url| !url.is_empty())
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    information_uri: Option<&'static str>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::report) struct Rule {
    pub(in crate::report) id: &'static str,
    pub(in crate::report) short_description: Text<'static>,
    pub(in crate::report) default_configuration: Configuration,
    pub(in crate::report) help: Help,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) help_uri: Option<String>,
}

#[derive(Serialize)]
pub(in crate::report) struct Configuration {
    pub(in crate::report) level: &'static str,
}

#[derive(Serialize)]
pub(in crate::report) struct Help {
    pub(in crate::report) text: String,
    pub(in crate::report) markdown: Cow<'static, str>,
}

#[derive(Serialize)]
pub(in crate::report) struct Text<'a> {
    pub(in crate::report) text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::report) struct Finding<'a> {
    pub(in crate::report) rule_id: &'static str,
    pub(in crate::report) rule_index: usize,
    pub(in crate::report) level: &'static str,
    pub(in crate::report) message: Message,
    pub(in crate::report) locations: Vec<Location<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::report) related_locations: Vec<Location<'a>>,
    /// What tells a finding again in the next run, when lines have moved.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::report) partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
pub(in crate::report) struct Message {
    pub(in crate::report) text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the standard")]
pub(in crate::report) struct Location<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) id: Option<usize>,
    pub(in crate::report) physical_location: Physical,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) message: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::report) struct Physical {
    pub(in crate::report) artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) region: Option<Region>,
}

#[derive(Serialize)]
pub(in crate::report) struct Artifact {
    pub(in crate::report) uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::report) struct Region {
    pub(in crate::report) start_line: u32,
    pub(in crate::report) start_column: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) end_line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) end_column: Option<u32>,
}

/// A path as a URI reference (RFC 3986 section 4.2): percent-encoded, with `/` between segments.
pub(in crate::report) fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    // Writing to a string cannot fail.
    for byte in path.bytes() {
        match byte {
            b'\\' => out.push('/'),
            b'/' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
