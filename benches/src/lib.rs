//! doorward beside a hand-written table, Cedar and regorus, on one list of requests.
//!
//! Measures and checks; never a part of doorward. See `docs/benchmarks.md`.

#[cfg(feature = "engines")]
pub mod cedar;
pub mod door;
pub mod hand;
pub mod measure;
pub mod recorded;
#[cfg(feature = "engines")]
pub mod rego;
pub mod workload;
