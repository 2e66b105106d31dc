//! Asks a policy about one request, with no server, no token and no runtime.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use doorward::model::{Action, Arguments, Context, Fact, Request, Resource, ResourceKind, Subject, Timestamp, Token};
use doorward::pdp::{decide, explain};
use doorward::policy::{Layers, load};
use serde_json::json;

const POLICY: &str = r#"
version = 1
[issuers.corp]
url = "https://login.example.com"
[servers.notes]
url = "http://127.0.0.1:9001/mcp"
[servers.notes.tools.search]
args = { limit = { max = 10 } }
[[grants]]
to = { subjects = ["ana"] }
allow = ["notes:search"]
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layers = Layers { files: vec![("policies.toml".to_owned(), POLICY.into())], environment: Vec::new() };
    let policy = load(&layers).policy.ok_or("the policy has errors")?.compiled;
    for limit in [5, 50] {
        let arguments = json!({ "limit": limit });
        let object = arguments.as_object().ok_or("no object")?;
        let request = Request {
            subject: Subject { issuer: Fact::Known("corp"), id: Fact::Known("ana"), ..absent() },
            action: Action::ToolsCall,
            resource: Resource { door: "notes", kind: ResourceKind::Tool, name: "search" },
            context: Context {
                now: Timestamp(1_000),
                token: Token {
                    audience: Fact::Known((&["http://127.0.0.1:8787/notes/mcp"]).into()),
                    scopes: Fact::Known((&["notes:search"]).into()),
                    issued_at: Fact::Known(Timestamp(900)),
                    expires_at: Fact::Known(Timestamp(1_200)),
                    not_before: Fact::Absent,
                },
                arguments: Arguments::known(object),
            },
        };
        println!("limit {limit}: {}", decide(&policy, &request).reason);
        for advice in explain(&policy, &request).advice {
            println!("  {advice}");
        }
    }
    Ok(())
}

fn absent() -> Subject<'static> {
    Subject { issuer: Fact::Absent, id: Fact::Absent, agent: Fact::Absent, groups: Fact::Absent, claims: Fact::Absent }
}
