//! The guard as callers, servers and attackers meet it.

mod answers;
mod attacks;
mod bindings;
#[cfg(feature = "gateway")]
mod examples;
mod gated;
mod interleaved;
mod journal;
mod lists;
mod promises;
mod property;
mod real;
mod refusals;
mod replaced;
mod streams;
pub(crate) mod world;
