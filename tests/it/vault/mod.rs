//! Credentials from a real `OpenBao`, and from a server that misbehaves as one.

pub(crate) mod bao;
#[cfg(feature = "gateway")]
mod between;
#[cfg(feature = "store")]
mod database;
mod fake;
mod grammar;
mod hazards;
mod logins;
mod nodes;
#[cfg(feature = "gateway")]
mod pipeline;
#[cfg(feature = "gateway")]
mod reloaded;
#[cfg(feature = "gateway")]
pub(crate) mod served;
mod sources;
#[cfg(feature = "gateway")]
mod stated;
#[cfg(feature = "store")]
mod transit;
#[cfg(feature = "gateway")]
mod walk;
#[cfg(feature = "gateway")]
mod watched;
