//! The credential for one upstream: short-lived, for that server alone, and revocable.
//!
//! The caller's token stops at the door. What goes on is what a [`Source`] gives for that server:
//! from Vault (`kv`, `oidc`, `dynamic`), or for development from a variable or a file. A source only
//! fetches and takes back; [`Credentials`] keeps, shares, renews and gives up.
//!
//! How a gateway uses it:
//!
//! 1. At start the sources of the policy's servers go to [`Credentials::new`]. At a reload
//!    [`Credentials::succeed`] makes the next edition, and when no request of the old one is under
//!    way any more, [`Credentials::retire`] takes back what it alone had.
//! 2. Behind the audit row and before the call, [`Door::get`] gives the credential. Then
//!    [`Credential::write_headers`], or [`Credential::variables`] for a child, which is started
//!    again when they change. An error is `503 credential-unavailable` for that door and no other.
//! 3. When the upstream answers 401, [`Door::refused`], so that the next call gets another.
//! 4. At the end, [`Credentials::shutdown`].
//!
//! | when | then |
//! | --- | --- |
//! | nothing is held | one fetch, however many wait for it; a caller who goes away does not stop it |
//! | it is nearly over | it is used, and the next is fetched behind the callers' backs |
//! | it is over, by either clock | it is never used |
//! | fetching fails | callers are refused at once until a time that doubles with each failure |
//! | it would live on after its use | it is taken back at the end of its use |
//! | taking it back fails | it is tried again, later each time, until it is over by itself |
//!
//! The clock on the wall, randomness and the reading of variables and files are handed in.

mod credential;
mod door;
mod edition;
mod keeper;
mod leases;
pub mod lifetime;
pub mod plan;
mod reference;
mod slot;
mod source;
mod unavailable;
pub mod vault;

pub use credential::{Credential, Handle, Place, Placed};
pub use door::{Declared, Door};
pub use edition::{Credentials, Standing};
pub use keeper::Limits;
pub use leases::Overdue;
pub use source::{Asked, Caller, Clock, Dice, Given, Secrets, Source};
pub use unavailable::Unavailable;
