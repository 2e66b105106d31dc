//! A zero-trust guard for the Model Context Protocol.
//!
//! An operator declares servers, tools, scopes, token lifetimes and audit retention in one
//! `policies.toml`. This crate compiles it, proves what it can about it, rehearses it against
//! recorded traffic and decides requests with it.
//!
//! ```
//! use doorward::model::{Action, Arguments, Context, Fact, Request, Resource, ResourceKind, Subject, Timestamp, Token};
//! use doorward::pdp::decide;
//! use doorward::policy::{Layers, load};
//!
//! let text = r#"
//!     version = 1
//!     [issuers.corp]
//!     url = "https://login.example.com"
//!     [servers.tickets]
//!     url = "http://127.0.0.1:9001/mcp"
//!     [servers.tickets.tools.search]
//!     [[grants]]
//!     name  = "support-desk"
//!     to    = { groups = ["support"] }
//!     allow = ["tickets:search"]
//! "#;
//! let layers = Layers { files: vec![("policies.toml".to_owned(), text.into())], environment: Vec::new() };
//! let policy = load(&layers).policy.expect("the text above is a policy").compiled;
//!
//! let request = Request {
//!     subject: Subject {
//!         issuer: Fact::Known("corp"),
//!         id: Fact::Known("ana"),
//!         agent: Fact::Absent,
//!         groups: Fact::Known((&["support"]).into()),
//!         claims: Fact::Absent,
//!     },
//!     action: Action::ToolsCall,
//!     resource: Resource { door: "tickets", kind: ResourceKind::Tool, name: "search" },
//!     context: Context {
//!         now: Timestamp(1_000),
//!         token: Token {
//!             audience: Fact::Known((&["http://127.0.0.1:8787/tickets/mcp"]).into()),
//!             scopes: Fact::Known((&["tickets:search"]).into()),
//!             issued_at: Fact::Known(Timestamp(900)),
//!             expires_at: Fact::Known(Timestamp(1_800)),
//!             not_before: Fact::Absent,
//!         },
//!         arguments: Arguments::NONE,
//!     },
//! };
//! assert!(decide(&policy, &request).is_allow());
//!
//! let stranger = Request { subject: Subject { groups: Fact::Absent, ..request.subject }, ..request };
//! assert_eq!(decide(&policy, &stranger).reason.code(), "no-grant");
//! ```
//!
//! The layers, lowest first; a module names only lower ones (`tests/it/layers.rs` checks it):
//!
//! | layer | module | job |
//! | --- | --- | --- |
//! | 0 | [`model`] | requests and decisions as plain data |
//! | 0 | [`diagnostics`] | problems with a code, a place and a help line |
//! | 1 | [`mcp`] | from the bytes of a message to what it reaches |
//! | 1 | [`policy`] | from TOML to an immutable, digested policy |
//! | 2 | [`pdp`] | the decision and its explanation |
//! | 2 | [`analyze`] | exact questions about one policy or two |
//! | 3 | [`traffic`] | recordings and importers |
//! | 3 | [`simulate`] | rehearsals |
//! | 3 | [`suggest`] | the least policy for recorded traffic |
//! | 3 | [`report`] | one renderer a format |
//! | 4 | `identity` | from an access token to the verified facts of a request; keys; the development issuer |
//! | 4 | `audit` | decisions on record before they take effect; hash chains, seals, stores |
//! | 4 | `attest` | that a policy was rehearsed and its gate held, signed and verified |
//! | 4 | `credentials` | a short-lived credential for one upstream, from Vault and others |
//! | 4 | `pep` | every MCP message authenticated, decided and recorded; a tower layer |
//! | 5 | `gateway` | one process in front of many servers |
//! | 5 | `cli` | the commands |
//!
//! Layers 0 to 3 never touch the file system, the clock, the environment or the network.

pub mod analyze;
#[cfg(feature = "guard")]
pub mod attest;
#[cfg(feature = "guard")]
pub mod audit;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "vault")]
pub mod credentials;
pub mod diagnostics;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "guard")]
pub mod identity;
pub mod mcp;
pub mod model;
pub mod pdp;
#[cfg(feature = "guard")]
pub mod pep;
pub mod policy;
pub mod report;
pub mod simulate;
pub mod suggest;
pub mod traffic;
