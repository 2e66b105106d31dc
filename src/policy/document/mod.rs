//! From the merged tree to the parts of a policy, each with its places.
//!
//! Collects every problem in one run and never stops at the first. What cannot be read gets a
//! stand-in, so that references to it cause no second problem: a policy with problems is never
//! compiled. References are only collected here; `resolve` follows them.

mod checks;
mod credentials;
mod fields;
mod gateway;
mod issuers;
mod matchers;
mod places;
mod servers;
mod shared;
mod statements;
mod upstream;

pub(super) use checks::DeclaredTest;
pub(super) use fields::At;
pub(super) use issuers::DeclaredIssuer;
pub(super) use servers::DeclaredServer;
pub(super) use statements::{DeclaredStatement, Mentions};

use fields::{Fields, Reader};

use super::checks::{Invariant, Rollout};
use super::set::{Audit, Gateway, ItemPattern, Vault};
use super::source::{Kind, Node};
use crate::diagnostics::{Code, Diagnostic, Span, did_you_mean};

/// The version of the language that this build reads.
const VERSION: i128 = 1;

/// Every top-level key.
pub(super) const KEYS: [&str; 12] = [
    "version",
    "gateway",
    "vault",
    "issuers",
    "servers",
    "scopes",
    "grants",
    "denies",
    "audit",
    "invariants",
    "tests",
    "rollout",
];

/// A policy as it is declared.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) gateway: Gateway,
    pub(super) vault: Option<Vault>,
    pub(super) audit: Audit,
    pub(super) issuers: Vec<DeclaredIssuer>,
    pub(super) servers: Vec<DeclaredServer>,
    pub(super) scopes: Vec<(At<String>, Vec<At<String>>)>,
    pub(super) grants: Vec<DeclaredStatement>,
    pub(super) denies: Vec<DeclaredStatement>,
    pub(super) invariants: Vec<Invariant>,
    pub(super) tests: Vec<DeclaredTest>,
    pub(super) rollout: Rollout,
    pub(super) references: References,
}

/// What stands somewhere and must be declared elsewhere.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Issuers by name.
    pub(super) issuers: Vec<At<String>>,
    /// Servers that call another.
    pub(super) callers: Vec<At<String>>,
    /// Audit classes.
    pub(super) classes: Vec<At<String>>,
    /// Item patterns outside of grants and denies.
    pub(super) patterns: Vec<(ItemPattern, Span)>,
    /// What selectors and test subjects name.
    pub(super) mentions: Vec<Mentions>,
    /// Scopes of test subjects.
    pub(super) scopes: Vec<At<String>>,
}

/// Reads the merged tree. Adds to the problems; `None` when the version is not ours, because then
/// nothing else is known to mean what it says.
pub(super) fn read(root: &Node<'_>, problems: &mut Vec<Diagnostic>) -> Option<Document> {
    let mut reader = Reader::new(problems);
    let Kind::Table(table) = &root.kind else { return None };
    let fields = Fields::of(root, table);
    if !version(&mut reader, fields) {
        return None;
    }
    reader.known(fields, "the policy", &KEYS);
    let gateway = gateway::gateway(&mut reader, fields.get("gateway"));
    let vault = fields.get("vault").map(|node| credentials::vault(&mut reader, node));
    let audit = places::audit(&mut reader, fields.get("audit"));
    let issuers = issuers::issuers(&mut reader, fields);
    let servers = servers::servers(&mut reader, fields, &gateway);
    let scopes = servers::bundles(&mut reader, fields);
    let grants = statements::grants(&mut reader, fields);
    let denies = statements::denies(&mut reader, fields);
    let invariants = checks::invariants(&mut reader, fields);
    let tests = checks::tests(&mut reader, fields);
    let rollout = places::rollout(&mut reader, fields.get("rollout"));
    let references = reader.references;
    Some(Document {
        gateway,
        vault,
        audit,
        issuers,
        servers,
        scopes,
        grants,
        denies,
        invariants,
        tests,
        rollout,
        references,
    })
}

fn version(reader: &mut Reader<'_>, fields: Fields<'_>) -> bool {
    let Some(node) = fields.get("version") else {
        // A key that is almost `version` is reported as unknown, with the right one beside it.
        if fields.keys().all(|(key, _)| did_you_mean(key, ["version"]).is_none()) {
            let help = "begin the file with `version = 1`";
            reader.invalid(Code::MissingKey, fields.span(), "the policy does not say its `version`", help);
        }
        return true;
    };
    match &node.kind {
        Kind::Integer(number) if *number == VERSION => true,
        Kind::Integer(number) => {
            let problem = Diagnostic::new(Code::UnknownVersion, format!("this build does not read version {number}"))
                .at(node.span, "")
                .help(format!("write `version = {VERSION}`, or use the doorward that the file was written for"));
            reader.report(problem);
            false
        }
        _ => {
            reader.wrong_type(node, "version", "an integer");
            false
        }
    }
}
