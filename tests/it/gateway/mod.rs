//! The gateway: what it carries, what it never carries, and what it does when things break.

mod acceptance;
mod audited;
pub(crate) mod calculator;
mod conformance;
mod demo;
mod durable;
mod fixture;
mod interop;
mod parity;
mod parts;
pub(crate) mod process;
mod reloaded;
pub(crate) mod rig;
mod served;
mod settings;
mod upstream_http;
mod upstream_stdio;
