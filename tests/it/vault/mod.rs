//! Credentials from a real `OpenBao`, and from a server that misbehaves as one.

mod bao;
#[cfg(feature = "store")]
mod database;
mod fake;
mod grammar;
mod hazards;
mod logins;
mod sources;
