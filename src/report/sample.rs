//! One set of problems for the snapshots of every renderer.

use crate::diagnostics::{Code, Diagnostic, SourceId, Sources, Span};

const BASE: &str = "\
version = 1

[servers.bücher]   # naïve 日本 🦀
url = \"http://127.0.0.1:9001/mcp\"
token_tll = \"15m\"

[[grants]]
name = \"日本\", # \u{1b}[31mred\u{202e}
to = { groups = [\"wide\"] }
allow = [
  \"bücher:search\",
  \"bücher:*\",
]

[[grants]]
name = \"second\"
to = { groups = [\"support\"] }
allow = [\"bücher:*\"]
";

const OVERLAY: &str = "[issuers.corp]\r\nurl = \"https://100%,ok:example.com\"\r\n";

/// The sources and the problems found in them: multi-byte text, a span over several lines, a
/// second file, control characters, a long line and a problem without a place.
pub(super) fn sample() -> (Sources, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let base = sources.add("policies.toml", BASE);
    let overlay = sources.add("conf d/policies.prod,eu.toml", OVERLAY);
    let long = format!("list = [{}\"needle\", {}]\n", "\"hay\", ".repeat(400), "\"hay\", ".repeat(400));
    let wide = sources.add("long.toml", &long);

    let problems = vec![
        Diagnostic::new(Code::UnknownKey, "unknown key `token_tll`")
            .at(find(base, BASE, "token_tll"), "")
            .help("did you mean `token_ttl`?"),
        Diagnostic::new(Code::TomlSyntax, "unexpected `,` after a value")
            .at(find(base, BASE, ", # \u{1b}"), "expected a line end")
            .help("remove the `,`"),
        Diagnostic::new(Code::ShadowedGrant, "grant `second` adds nothing")
            .at(find(base, BASE, "second"), "this grant")
            .also(find(base, BASE, "[\n  \"bücher:search\",\n  \"bücher:*\",\n]"), "`日本` already allows it")
            .also(find(base, BASE, "servers.bücher"), "the server")
            .help("remove it, or narrow the first"),
        Diagnostic::new(Code::InvalidValue, "`https://100%,ok:example.com` is not a URL")
            .at(find(overlay, OVERLAY, "\"https://100%,ok:example.com\""), "must be `scheme://host`"),
        Diagnostic::new(Code::DuplicateName, "`needle` is there twice")
            .at(find(wide, &long, "\"needle\""), "")
            .also(find(base, BASE, "\"wide\""), "first here"),
        Diagnostic::new(Code::NotUtf8, "byte 17 of `policies.toml` is not UTF-8 \u{1b}[0m\nnor <text> & \"more\"")
            .help("save the file as UTF-8\nwithout a byte order mark"),
    ];
    (sources, problems)
}

fn find(source: SourceId, text: &str, wanted: &str) -> Span {
    let start = text.find(wanted).unwrap();
    let end = start + if wanted.starts_with(", ") { 1 } else { wanted.len() };
    Span { source, start: u32::try_from(start).unwrap(), end: u32::try_from(end).unwrap() }
}
