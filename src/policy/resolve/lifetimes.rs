//! Lifetimes that contradict each other: a limit that another one makes meaningless.

use crate::diagnostics::{Code, Diagnostic, Span};
use crate::policy::document::{DeclaredServer, Document};
use crate::policy::set::Credential;

pub(super) fn check(document: &Document, problems: &mut Vec<Diagnostic>) {
    for server in &document.servers {
        let longest = longest(document, server);
        let limit = server.server.token_ttl;
        if let (Some(ttl), Some(span)) = (limit, server.token_ttl) {
            outlives_tokens(problems, "`token_ttl`", ttl, span, longest);
        }
        for declared in &server.items {
            let (Some(ttl), Some(span)) = (declared.item.token_ttl, declared.token_ttl) else { continue };
            match (limit, server.token_ttl) {
                (Some(limit), Some(other)) if ttl > limit => {
                    let problem =
                        Diagnostic::new(Code::ContradictoryTtl, "`token_ttl` is longer than that of the server")
                            .at(span, "")
                            .also(other, "the server's holds too, and is shorter")
                            .help("shorten it, or lengthen the server's");
                    problems.push(problem);
                }
                _ => outlives_tokens(problems, "`token_ttl`", ttl, span, longest),
            }
        }
        if let (Credential::Vault { ttl, .. }, Some(span)) = (&server.server.credential, server.credential_ttl) {
            match (limit, server.token_ttl) {
                (Some(limit), Some(other)) if *ttl > limit => {
                    let problem =
                        Diagnostic::new(Code::ContradictoryTtl, "the credential outlives the tokens it is fetched for")
                            .at(span, "")
                            .also(other, "no token is honoured longer than this")
                            .help("shorten the `ttl` of the credential");
                    problems.push(problem);
                }
                _ => outlives_tokens(problems, "the `ttl` of the credential", *ttl, span, longest),
            }
        }
    }
}

/// The longest life of a token that the server accepts, and where it stands.
fn longest(document: &Document, server: &DeclaredServer) -> Option<(u32, Span)> {
    let accepted = |name: &String| server.server.issuers.as_ref().is_none_or(|list| list.contains(name));
    document
        .issuers
        .iter()
        .filter(|issuer| accepted(&issuer.name.value))
        .map(|issuer| (issuer.issuer.max_lifetime, issuer.name.span))
        .max()
}

fn outlives_tokens(problems: &mut Vec<Diagnostic>, what: &str, ttl: u32, span: Span, longest: Option<(u32, Span)>) {
    if let Some((limit, other)) = longest.filter(|(limit, _)| ttl > *limit) {
        let problem = Diagnostic::new(Code::ContradictoryTtl, format!("{what} is longer than any token lives"))
            .at(span, "")
            .also(other, format!("tokens of this issuer live at most {limit} seconds"))
            .help("shorten it, or lengthen `max_lifetime` of the issuer");
        problems.push(problem);
    }
}
