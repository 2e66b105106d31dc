//! The plan as HCL: the gateway's policy, and all of it as Terraform resources.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Kind, Plan, TRANSIT, Wanted};

/// The gateway's policy in Vault's own language.
pub fn policy_text(plan: &Plan) -> String {
    let mut out = String::new();
    for (path, allowed) in &plan.allowed {
        let capabilities: Vec<_> = allowed.capabilities.iter().map(|c| format!("\"{c}\"")).collect();
        let (path, list) = (quoted(path), capabilities.join(", "));
        // Writing to a string does not fail.
        let _ = writeln!(out, "path {path} {{\n  capabilities = [{list}]\n}}");
    }
    out
}

/// All of the plan as resources of the Terraform provider `vault`.
pub fn terraform(plan: &Plan) -> String {
    let mut out = String::from("# Written by `doorward vault plan --format hcl`.\n");
    for wanted in &plan.wanted {
        resource(&mut out, plan, wanted);
    }
    for (policy, servers) in &plan.expected {
        let servers: Vec<_> = servers.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "\n# Expected: the policy {}, which says what {} may do.",
            quoted(policy),
            servers.join(", ")
        );
    }
    out
}

fn resource(out: &mut String, plan: &Plan, wanted: &Wanted) {
    // What a resource calls its name, and where it differs from the API, its other words.
    let (kind, named): (_, &[(&str, String)]) = match wanted.kind {
        Kind::Mount => ("vault_mount", &[("path", wanted.name.clone())]),
        Kind::Auth => ("vault_auth_backend", &[("path", wanted.name.clone())]),
        Kind::Policy => ("vault_policy", &[("name", wanted.name.clone())]),
        Kind::TokenRole => ("vault_token_auth_backend_role", &[("role_name", wanted.name.clone())]),
        Kind::OidcKey => ("vault_identity_oidc_key", &[("name", wanted.name.clone())]),
        Kind::OidcRole => ("vault_identity_oidc_role", &[("name", wanted.name.clone())]),
        Kind::SigningKey => ("vault_transit_secret_backend_key", &[("name", wanted.name.clone())]),
        Kind::LoginRole => (login_resource(wanted), &[("role_name", wanted.name.clone())]),
    };
    let _ = writeln!(out, "\nresource \"{kind}\" \"{}\" {{", label(&wanted.name));
    if let Some(namespace) = &plan.namespace {
        let _ = writeln!(out, "  namespace = {}", quoted(namespace));
    }
    for (key, name) in named {
        let _ = writeln!(out, "  {key} = {}", quoted(name));
    }
    if wanted.kind == Kind::LoginRole
        && let Some(mount) = wanted.path.strip_prefix("auth/").and_then(|path| path.split("/role/").next())
    {
        let _ = writeln!(out, "  backend = vault_auth_backend.{}.path", label(mount));
    }
    if wanted.kind == Kind::SigningKey {
        let _ = writeln!(out, "  backend = vault_mount.{}.path", label(TRANSIT));
    }
    for (key, value) in &wanted.body {
        if wanted.kind == Kind::Policy {
            let _ = writeln!(out, "  {key} = <<-EOT");
            for line in value.as_str().unwrap_or_default().lines() {
                let _ = writeln!(out, "    {line}");
            }
            let _ = writeln!(out, "  EOT");
        } else {
            let _ = writeln!(out, "  {key} = {}", reference(wanted.kind, key, value).unwrap_or_else(|| literal(value)));
        }
    }
    out.push_str("}\n");
}

/// What names another resource names it as such, so that Terraform makes that one first.
fn reference(kind: Kind, key: &str, value: &Value) -> Option<String> {
    match (kind, key) {
        (Kind::OidcRole, "key") => Some(format!("vault_identity_oidc_key.{}.name", label(value.as_str()?))),
        (Kind::LoginRole, "token_policies") => {
            let policies = value.as_array()?.iter().filter_map(Value::as_str);
            let policies: Vec<_> = policies.map(|policy| format!("vault_policy.{}.name", label(policy))).collect();
            Some(format!("[{}]", policies.join(", ")))
        }
        _ => None,
    }
}

/// What a resource is called among those of its kind.
fn label(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// The resource of a login role, by what binds it.
fn login_resource(wanted: &Wanted) -> &'static str {
    if wanted.body.contains_key("bound_service_account_names") {
        "vault_kubernetes_auth_backend_role"
    } else if wanted.body.contains_key("bound_subject") {
        "vault_jwt_auth_backend_role"
    } else {
        "vault_approle_auth_backend_role"
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(list) => format!("[{}]", list.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key} = {}", literal(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// A string of HCL, in which `${` and `%{` begin a template.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace("${", "$${").replace("%{", "%%{")
}
