//! The parts of the policy's schema that are about credentials for upstreams.

use serde_json::{Value, json};

use super::blocks::{boolean, defined, key, map, one_or_list, or, required, table, text, words};

/// `credential` of a server.
pub(super) fn credential() -> Value {
    let placed = || {
        [
            key("header", "The header that it goes into, for a `url`. Default: `Authorization`, as Bearer.", text()),
            key("variable", "The variable of the program that it goes into, for a `command`.", text()),
        ]
    };
    let vault = [
        required(
            "vault",
            "How Vault gives it: a token kept in KV version 2, an identity token, any secret with a lease, or a signed statement of who asks.",
            words(["kv", "oidc", "dynamic", "transit"]),
        ),
        required(
            "path",
            "The path of the token in KV or of the secret; for `oidc` the role, for `transit` the key.",
            text(),
        ),
        key("policies", "The Vault policies of a token made for this server. Default: its name.", one_or_list(&text())),
        key(
            "ttl",
            "The longest life of a credential from Vault. Default: `10m`, or `token_ttl` where that is shorter.",
            defined("duration"),
        ),
        key("audience", "The `aud` of an identity token or statement. Default: the URL of the server.", text()),
        key(
            "per_caller",
            "Each caller gets a dynamic secret of its own, or a token whose metadata say who, and which KV never sees.",
            or(false, boolean()),
        ),
        key(
            "params",
            "What a dynamic secret is asked for with: `{ common_name = \"crm.example.com\" }`. Default: none, and it is read.",
            map(&text()),
        ),
        key(
            "fields",
            "Where each field of a dynamic secret goes: `{ username = \"PGUSER\" }`. Default: none.",
            map(&text()),
        ),
    ];
    let alternatives = [
        table([required("none", "No credential is sent.", json!({ "const": true }))]),
        table(
            [required("env", "The environment variable that holds it. For development.", text())]
                .into_iter()
                .chain(placed()),
        ),
        table([required("file", "The file that holds it. For development.", text())].into_iter().chain(placed())),
        table(vault.into_iter().chain(placed())),
    ];
    json!({ "anyOf": alternatives })
}

/// `login` of Vault.
pub(super) fn login() -> Value {
    let mount = || key("mount", "The mount of the auth method. Default: its name.", text());
    let alternatives = [
        table([required("token", "The token: `env:NAME` or `file:PATH`.", text())]),
        table([
            required("approle", "The role of `AppRole`, by its name.", text()),
            required("role_id", "The id of the role: `env:NAME` or `file:PATH`.", text()),
            required("secret_id", "The secret id, or the token that wraps it: `env:NAME` or `file:PATH`.", text()),
            key("wrapped", "The secret id is a wrapping token.", or(false, boolean())),
            mount(),
        ]),
        table([
            required("jwt", "The role of the JWT method.", text()),
            required("token", "The JWT: `env:NAME` or `file:PATH`.", text()),
            required("audience", "The `aud` of the JWT.", text()),
            required("subject", "The `sub` of the JWT.", text()),
            mount(),
        ]),
        table([
            required("kubernetes", "The role of the Kubernetes method.", text()),
            key("token", "The token of the service account. Default: where a pod finds it.", text()),
            required("service_account", "The service account.", text()),
            required("service_namespace", "The namespace of the service account.", text()),
            mount(),
        ]),
    ];
    json!({ "anyOf": alternatives })
}
