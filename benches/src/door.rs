//! The same policy in doorward: `policies.toml` text, read and compiled by the library.

use doorward::model::{
    Action, Arguments, Context, Decision, Fact, Request, Resource, ResourceKind, Strings, Subject, Timestamp, Token,
};
use doorward::pdp;
use doorward::policy::{CompiledPolicy, Layers, load};

use crate::workload::{Ask, NOW, Policy};

/// Reads a policy as the command line does, from text.
pub fn compile(text: &str) -> CompiledPolicy {
    let loaded = load(&layers(text));
    match loaded.policy {
        Some(policy) => policy.compiled,
        None => panic!("the generated policy has problems: {:#?}", loaded.problems.first()),
    }
}

/// What [`load`] takes.
pub fn layers(text: &str) -> Layers {
    Layers { files: vec![("policies.toml".to_owned(), text.as_bytes().to_vec())], environment: Vec::new() }
}

/// doorward, compiled from the policy's text.
pub fn new(policy: &Policy) -> CompiledPolicy {
    compile(&policy.to_toml())
}

/// Decides; the request is built here, from what was borrowed.
#[inline]
pub fn decide<'p>(policy: &'p CompiledPolicy, ask: &Ask<'_>) -> Decision<'p> {
    let request = Request {
        subject: Subject {
            issuer: Fact::Known(ask.issuer),
            id: Fact::Known(ask.subject),
            agent: Fact::Known(ask.agent),
            groups: Fact::Known(Strings::Borrowed(&ask.groups)),
            claims: Fact::Absent,
        },
        action: Action::ToolsCall,
        resource: Resource { door: ask.server, kind: ResourceKind::Tool, name: ask.tool },
        context: Context {
            now: Timestamp(NOW),
            token: Token {
                audience: Fact::Known(Strings::Borrowed(&ask.audience)),
                scopes: Fact::Known(Strings::Borrowed(&ask.scopes)),
                issued_at: Fact::Known(Timestamp(ask.issued_at)),
                expires_at: Fact::Known(Timestamp(ask.expires_at)),
                not_before: Fact::Absent,
            },
            arguments: Arguments::known(ask.arguments),
        },
    };
    pdp::decide(policy, &request)
}
