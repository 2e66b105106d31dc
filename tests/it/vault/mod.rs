//! Credentials from a real `OpenBao`.

mod bao;
mod sources;
