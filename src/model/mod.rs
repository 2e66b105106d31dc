//! Requests and decisions as plain data, in the subject, action, resource, context shape of the
//! `OpenID` `AuthZEN` Authorization API 1.0.
//!
//! Nothing here reads a file, a clock or a policy; nothing here decides.

mod action;
mod decision;
mod fact;
mod request;

pub use action::{Action, ResourceKind};
pub use decision::{
    Decision, Effect, FactSet, Missing, Obligations, Position, Rate, RateKey, Reason, Rule, RuleKind, Verdict,
};
pub use fact::{Fact, Strings};
pub use request::{Arguments, Claim, Context, Request, Resource, Subject, Timestamp, Token, Withheld, WithheldBecause};
