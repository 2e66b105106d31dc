//! The gateway: what it carries, what it never carries, and what it does when things break.

mod acceptance;
mod audited;
mod breaking;
pub(crate) mod calculator;
mod captured;
mod conformance;
mod counted;
mod demo;
mod durable;
mod fixture;
mod interleaved;
mod interop;
mod isolation;
mod odd;
mod parity;
mod parts;
pub(crate) mod process;
mod ready;
pub(crate) mod reloaded;
pub(crate) mod rig;
mod served;
mod settings;
mod states;
mod tls;
mod traces;
mod upstream_http;
mod upstream_stdio;
