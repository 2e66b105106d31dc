//! The integration tests, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "what a test's own functions cannot do must fail the test"
)]

mod accounts;
mod action;
mod advice;
mod allocations;
mod analysis;
#[cfg(feature = "guard")]
mod attacks;
#[cfg(feature = "gateway")]
mod attest;
#[cfg(feature = "store")]
mod audit;
mod browser;
mod cli;
mod codes;
mod columns;
#[cfg(feature = "store")]
mod containers;
#[cfg(feature = "vault")]
mod credentials;
mod decide;
#[cfg(feature = "gateway")]
mod dev_issuer;
mod docs;
mod elsewhere;
mod exact;
#[cfg(feature = "guard")]
mod fetch;
#[cfg(feature = "gateway")]
mod gateway;
#[cfg(feature = "guard")]
mod guard;
mod habits;
#[cfg(feature = "guard")]
mod identity;
mod kept;
#[cfg(feature = "guard")]
mod keys;
mod language;
mod layers;
mod livemcpbench;
mod load;
mod logs;
mod oracle;
mod outputs;
#[cfg(feature = "gateway")]
mod packaged;
mod place;
mod questions;
mod rates;
mod recordings;
mod reference_servers;
mod rehearsals;
mod render;
mod renewals;
mod replays;
mod reports;
mod scenarios;
mod schema;
mod secrets;
mod sources;
mod spans;
mod suggest;
mod suggest_examples;
mod suggest_real;
mod suites;
mod threads;
#[cfg(feature = "gateway")]
mod tokens;
mod ui;
mod universe;
#[cfg(feature = "vault")]
mod vault;
mod what_if;
