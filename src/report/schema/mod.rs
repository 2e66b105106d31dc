//! The JSON Schema of `policies.toml`, for completion and hints in editors, and those of reports.
//!
//! That of the policy says which keys there are and which form their values have. It is no second judge: what it
//! accepts may still be wrong, and only `policy::load` decides that.

mod blocks;
mod credentials;
#[cfg(feature = "cli")]
mod reports;
mod statements;

#[cfg(feature = "cli")]
pub use reports::{
    matrix_schema, part_schema, reload_schema, scenarios_schema, simulation_schema, status_schema, suggestion_schema,
};

use serde_json::{Value, json};

use crate::policy::set::Algorithm;
use blocks::{
    between, boolean, count, defined, described, form, key, list, map, named, one_or_list, one_or_many, or, required,
    table, text, words,
};

/// Server and issuer names.
const NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$";
/// Tool, prompt and resource names: scope characters (RFC 6749 section 3.3) but `:`, `*` and `?`.
const ITEM_NAME: &str = r"^[!#-)+-9;->@-\[\]-~]+$";
/// A token scope without wildcards.
const SCOPE: &str = r"^[!#-)+->@-\[\]-~]+$";

/// The schema (draft 2020-12) of the policy language, version 1.
pub fn policy_schema() -> Value {
    let mut schema = table([
        required("version", "The version of the policy language.", json!({ "const": 1 })),
        key("gateway", "Where the gateway is. Default: on the loopback.", gateway()),
        key("vault", "Where Vault or OpenBao is. Default: there is none.", vault()),
        key("issuers", "Who may vouch for a caller, by name. Default: nobody.", named(NAME, &defined("issuer"))),
        key("servers", "The doors: one MCP server each, by name. Default: none.", named(NAME, &defined("server"))),
        key(
            "scopes",
            "Bundles: what one token scope carries, as item patterns and other bundles. Default: none.",
            named(SCOPE, &one_or_many(&text())),
        ),
        key(
            "grants",
            "Who may do what; a token scope is needed as well. Default: nobody anything.",
            list(&defined("grant")),
        ),
        key("denies", "Who may not do what; wins over every grant. Default: none.", list(&defined("deny"))),
        key("audit", "Where audit rows go and how long they stay. Default: as below.", audit()),
        key(
            "invariants",
            "What must never be possible; proved for all requests. Default: none.",
            list(&defined("invariant")),
        ),
        key("tests", "What was meant, checked by `doorward test`. Default: none.", list(&defined("test"))),
        key("rollout", "The gate between a candidate policy and production. Default: as below.", rollout()),
    ]);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "doorward policy",
        "description": "Servers, tools, scopes, token lifetimes and audit retention behind doorward.",
        "$defs": definitions(),
    });
    if let (Some(object), Value::Object(head)) = (schema.as_object_mut(), head) {
        object.extend(head);
    }
    schema
}

fn definitions() -> Value {
    let mut all = json!({
        "duration": duration(),
        "rate": rate(),
        "issuer": issuer(),
        "server": server(),
        "tool": table(item_keys().into_iter().chain(argument_keys())),
        "prompt": table(item_keys().into_iter().chain(argument_keys())),
        "resource": resource(),
    });
    if let (Some(object), Value::Object(more)) = (all.as_object_mut(), statements::definitions()) {
        object.extend(more);
    }
    all
}

/// Units once each, the longest first.
fn duration() -> Value {
    let units = "^(?=.)([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$";
    let mut schema = described("A length of time: `90s`, `15m`, `1h30m`, `90d`, `2w`, `7y`.", form(units));
    if let Some(object) = schema.as_object_mut() {
        object.insert("examples".to_owned(), json!(["90s", "15m", "1h30m", "90d", "7y"]));
    }
    schema
}

fn rate() -> Value {
    let mut schema = described(
        "So many requests in a time, counted for each subject, each agent or all together, by each gateway or by all.",
        form("^0*[1-9][0-9]*/(s|min|h|d)( per (subject|agent|all))?( across gateways)?$"),
    );
    if let Some(object) = schema.as_object_mut() {
        object.insert(
            "examples".to_owned(),
            json!(["10/min per subject", "100/h per agent", "1000/d per all across gateways"]),
        );
    }
    schema
}

fn gateway() -> Value {
    table([
        key("listen", "The address that callers reach.", or("127.0.0.1:8787", text())),
        key("url", "The URL that callers use; door resources lie below it.", or("http://127.0.0.1:8787", text())),
        key(
            "admin",
            "Where health, metrics and control are: an address on the loopback, or `unix:PATH`.",
            or("127.0.0.1:8788", text()),
        ),
        key(
            "admin_token",
            "What is to be shown for control over TCP, as `env:NAME` or `file:PATH`; without it only a socket takes it. Default: none.",
            text(),
        ),
        key(
            "state_keys",
            "What `requestState` is sealed with, the first, and opened with, each, as `env:NAME` or `file:PATH`; the same for all gateways that one caller may reach. Default: none.",
            one_or_list(&text()),
        ),
        key("tls", "The files for TLS; without them it listens on the loopback only. Default: none.", tls()),
        key(
            "hosts",
            "Names under which it is called, beside that of `url` and those of the loopback; others are refused. Default: none.",
            one_or_list(&text()),
        ),
        key("origins", "Origins whose pages may call it. Default: none.", one_or_list(&text())),
        key("capture", "Recordings of what the gateway decides, for rehearsals. Default: none.", capture()),
        key(
            "traces",
            "Where the spans of what is decided go: the base URL of an OTLP receiver over HTTP. Default: nowhere.",
            text(),
        ),
        key("limits", "How much it takes on at once, and how long it waits. Default: those of each key.", limits()),
        key(
            "danger_plain_http",
            "Lets tokens cross a network in the clear, such as behind a proxy that ends TLS.",
            or(false, json!({ "type": "boolean" })),
        ),
    ])
}

fn limits() -> Value {
    let count = |most: u32| or(most, json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }));
    let time = |longest: &str| or(longest, defined("duration"));
    table([
        key("connections", "Connections at once; more are closed.", count(4096)),
        key("requests", "Requests under way, each until the end of its answer; more get 503.", count(4096)),
        key("requests_per_door", "The same at one door; more get 503.", count(1024)),
        key("requests_per_caller", "The same of one caller (issuer, `sub` and agent); more get 429.", count(256)),
        key("head_time", "How long the head of a request may take to come.", time("10s")),
        key("body_time", "How long its body may take.", time("30s")),
        key("stall_time", "How long a caller may take nothing of its answer.", time("30s")),
        key("drain_time", "How long requests may go on after the gateway was told to stop.", time("20s")),
    ])
}

fn tls() -> Value {
    table([
        required("certificate_file", "The certificate chain, in PEM; paths are relative to the policy.", text()),
        required("key_file", "Its private key, in PEM.", text()),
        key(
            "client_ca_file",
            "The authorities whose certificates callers must show, in PEM. Default: none is asked for.",
            text(),
        ),
    ])
}

fn capture() -> Value {
    table([
        required("directory", "The folder of the recordings; a relative one is relative to the policy.", text()),
        key("percent", "How many sessions of a hundred are recorded, each whole.", or(100, between(1, 100))),
        key(
            "file_mib",
            "After how many MiB on the disk a file is closed; after an hour in any case.",
            or(64, between(1, 4096)),
        ),
        key(
            "total_mib",
            "How many MiB the closed files may take before the oldest goes.",
            or(1024, between(1, 1 << 24)),
        ),
    ])
}

fn vault() -> Value {
    table([
        required("address", "The URL of Vault or OpenBao: `https`, or `http` to this machine.", text()),
        key(
            "standbys",
            "Other nodes of the same cluster, asked in turn while one does not answer or is not in charge. Default: none.",
            one_or_list(&text()),
        ),
        key("namespace", "The namespace, where there is one. Default: none.", text()),
        key("kv", "The mount of KV version 2 that holds the tokens of servers.", or("secret", text())),
        key("login", "How the gateway logs in. Default: the token in `env:VAULT_TOKEN`.", credentials::login()),
        key(
            "ca_file",
            "A file with the only certificate authorities that are trusted, PEM. Default: the system's.",
            text(),
        ),
        key("identity_file", "A file with the client certificate and its key, PEM. Default: none.", text()),
        key(
            "shared",
            "Other gateways use the same tokens, which are then left to expire at shutdown.",
            or(false, boolean()),
        ),
    ])
}

fn issuer() -> Value {
    let claims = json!({
        "type": "object",
        "properties": {
            "groups": described("The claim that holds the groups.", or("groups", text())),
            "agent": described("The claim that holds the acting client.", or("client_id", text())),
        },
        "additionalProperties": described("A claim under a name of your own, for selectors.", text()),
    });
    table([
        required("url", "The `iss` of its tokens, to the letter; its metadata is found from it.", text()),
        key(
            "jwks_url",
            "Where its keys are, by `https` unless on this machine. Default: discovery from `url`.",
            text(),
        ),
        key("jwks_file", "A file with its keys, beside the policy, for use without a network. Default: none.", text()),
        key(
            "network",
            "Where the hosts that its keys come from may be: `private` allows the organisation's own networks too.",
            or("public", words(["public", "private"])),
        ),
        key("audiences", "Accepted `aud` values. Default: the `resource` of each door.", one_or_list(&text())),
        key(
            "algorithms",
            "Accepted signature algorithms; never `none`, never symmetric.",
            or(json!(["EdDSA", "ES256"]), one_or_many(&words(Algorithm::ALL.iter().map(|(name, _)| *name)))),
        ),
        key("max_lifetime", "The longest `exp - iat`.", or("1h", defined("duration"))),
        key(
            "clock_skew",
            "How far `iat` and `nbf` may lie ahead, at most `5m`; never extends `exp`.",
            or("30s", defined("duration")),
        ),
        key(
            "claims",
            "Which claims hold the `groups`, the `agent` and further facts for selectors, as dotted paths. Default: `groups`, `client_id`.",
            claims,
        ),
        key(
            "groups",
            "The groups that exist; then a group that is not listed is an error. Default: any.",
            one_or_list(&text()),
        ),
    ])
}

fn server() -> Value {
    let mut schema = table([
        key("url", "The URL of the server, for Streamable HTTP. Either this or `command`. Default: none.", text()),
        key(
            "command",
            "The program and its arguments, for stdio. Either this or `url`. Default: none.",
            one_or_many(&json!({ "type": "string" })),
        ),
        key("tls", "TLS to a server with an `https` URL. Default: as the machine has it.", upstream_tls()),
        key("client", "What the server may ask of clients. Default: nothing.", client()),
        key("resource", "The identifier that `aud` must hold. Default: `gateway.url` and `/NAME/mcp`.", text()),
        key("issuers", "The issuers accepted here. Default: all.", one_or_many(&form(NAME))),
        key(
            "token_ttl",
            "A token is honoured until `iat` plus this, whatever its `exp` says. Default: until `exp`.",
            defined("duration"),
        ),
        key(
            "credential",
            "Where the credential for this server comes from. Default: none is sent.",
            credentials::credential(),
        ),
        key("audit", "The audit class of everything behind this door.", or("standard", text())),
        key("rate", "How often this door may be passed. Default: unlimited.", defined("rate")),
        key(
            "callers",
            "The servers that may call this one; a grant is needed as well. Default: none.",
            one_or_list(&form(NAME)),
        ),
        key("identity", "Who this server is when it calls another. Default: nobody.", identity()),
        key(
            "environment",
            "Variables of the gateway that a child process gets, by name, beside the few that every child gets. Default: none.",
            one_or_list(&text()),
        ),
        key("tools", "The tools that may be called, by name. Default: none.", named(ITEM_NAME, &defined("tool"))),
        key("prompts", "The prompts that may be used, by name. Default: none.", named(ITEM_NAME, &defined("prompt"))),
        key(
            "resources",
            "Patterns of URIs that may be read, by name. Default: none.",
            named(ITEM_NAME, &defined("resource")),
        ),
    ]);
    if let Some(object) = schema.as_object_mut() {
        object.insert("oneOf".to_owned(), json!([{ "required": ["url"] }, { "required": ["command"] }]));
    }
    schema
}

fn upstream_tls() -> Value {
    table([
        key("ca_file", "The only authorities that may vouch for it, in PEM. Default: the machine's.", text()),
        key("identity_file", "The certificate that it is shown and its key, in PEM. Default: none.", text()),
    ])
}

fn client() -> Value {
    let may = |what: &'static str, description| key(what, description, or(false, boolean()));
    table([
        may("sampling", "Lets it use the client's model."),
        may("elicitation", "Lets it ask the user by a form."),
        key(
            "elicitation_hosts",
            "Hosts to whose pages it may send the user, by `https`: exact, or `*.` and all below. Default: none.",
            one_or_list(&text()),
        ),
        may("roots", "Lets it learn the client's folders."),
    ])
}

fn identity() -> Value {
    table([
        required("issuer", "The issuer of its tokens, by name.", form(NAME)),
        required("subject", "The `sub` of its tokens.", text()),
    ])
}

/// The keys that tools, prompts and resources share.
fn item_keys() -> [blocks::Key; 4] {
    [
        key(
            "scope",
            "The token scopes of which one is needed. Default: its own name, such as `tickets:refund`.",
            one_or_many(&form(SCOPE)),
        ),
        key("token_ttl", "As on the server; the shorter one counts. Default: the server's.", defined("duration")),
        key("audit", "Its audit class. Default: the server's.", text()),
        key("rate", "How often it may be used, on top of the server's rate. Default: unlimited.", defined("rate")),
    ]
}

/// The further keys of what has arguments.
fn argument_keys() -> [blocks::Key; 3] {
    [
        key(
            "args",
            "What its arguments must be for every caller, on top of the grants. Default: anything.",
            defined("args"),
        ),
        key(
            "capture",
            "Arguments that recordings keep although no rule reads them. Default: none.",
            one_or_list(&text()),
        ),
        key(
            "redact",
            "Arguments whose values are kept nowhere, neither in recordings nor in the audit log. Default: none.",
            one_or_list(&text()),
        ),
    ]
}

fn resource() -> Value {
    let uri = required("uri", "The URIs, as a glob: `*` stops at `/`, `**` does not.", text());
    table(std::iter::once(uri).chain(item_keys()))
}

fn audit() -> Value {
    table([
        key(
            "store",
            "`sqlite:PATH`, `postgres://host/db` without a password, or `env:NAME` or `file:PATH` of a URL.",
            or("sqlite:doorward.db", text()),
        ),
        key(
            "signing_key",
            "The Ed25519 key that signs the seals of the log: `env:NAME`, `file:PATH`, or `transit:NAME` for a key of Vault's transit engine.",
            text(),
        ),
        key(
            "redact",
            "Values of arguments that one of these globs matches are kept nowhere, whatever tool they are for. Default: none.",
            one_or_list(&text()),
        ),
        key(
            "retention",
            "How long rows of each class stay; every class in use must be here. Default: `{ standard = \"90d\" }`.",
            map(&defined("duration")),
        ),
        key(
            "holds",
            "What `audit prune` leaves whatever the retention says, by a name such as that of a case. Default: none.",
            map(&table([
                key("classes", "All rows of these audit classes. Default: none.", one_or_list(&text())),
                key(
                    "subjects",
                    "In every class the months from the first on that has a row about one of these. Default: none.",
                    one_or_list(&text()),
                ),
            ])),
        ),
    ])
}

fn rollout() -> Value {
    table([
        key(
            "recordings",
            "Recordings to replay: paths and globs beside the policy. Default: none.",
            one_or_list(&text()),
        ),
        key("max_newly_denied", "The most requests that may be newly denied.", or(0, count())),
        key("max_newly_allowed", "The most requests that may be newly allowed.", or(0, count())),
        key(
            "max_undecidable",
            "The most requests that may stay undecided, as a count or as a share such as `0.5%`.",
            or(0, json!({ "anyOf": [count(), form(r"^([0-9]{1,2}(\.[0-9]{1,4})?|100(\.0{1,4})?)%$")] })),
        ),
        key("min_events", "The fewest events that a rehearsal must rest on. Default: any number.", count()),
        key("min_window", "The least time from the first event to the last. Default: none.", defined("duration")),
        key("require", "What must have happened before the policy is served. Default: nothing.", words(["simulation"])),
        key(
            "trusted_keys",
            "Whose attestations count: Ed25519 public keys, each 32 bytes in base64. Default: nobody's.",
            one_or_list(&form("^[A-Za-z0-9+/]{43}=$")),
        ),
    ])
}
