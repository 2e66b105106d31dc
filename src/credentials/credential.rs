//! A credential for one server: its secrets, where each goes, and how long it may be used.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::unavailable::Unavailable;
use crate::model::Timestamp;

/// The longest secret, in bytes.
const LONGEST: usize = 16 * 1024;

/// Where a secret goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into this header of every request. In `authorization` it stands behind `Bearer `.
    Header(HeaderName),
    /// Into this variable of the child's environment.
    Variable(String),
}

/// A secret in its place.
pub struct Placed {
    place: Place,
    secret: SecretString,
}

impl Placed {
    /// Puts a secret into its place.
    ///
    /// # Errors
    ///
    /// It is empty, longer than 16 KiB, or cannot be there.
    pub fn new(place: Place, secret: SecretString) -> Result<Self, Unavailable> {
        let text = secret.expose_secret();
        let fits = match place {
            Place::Header(_) => text.bytes().all(|b| (b' '..=b'~').contains(&b)),
            Place::Variable(_) => !text.contains('\0'),
        };
        if text.is_empty() || text.len() > LONGEST || !fits {
            return Err(Unavailable::Unusable);
        }
        Ok(Self { place, secret })
    }

    /// Where it goes.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What goes there, without `Bearer `.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }
}

impl fmt::Debug for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placed").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What its giver needs to take a credential back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Handle {
    /// The lease, where there is one.
    pub lease_id: Option<String>,
    /// The accessor of the token, where it is one.
    pub accessor: Option<String>,
}

impl Handle {
    /// Whether there is anything to take back.
    pub const fn is_empty(&self) -> bool {
        self.lease_id.is_none() && self.accessor.is_none()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither is a secret, but whoever may revoke could use them.
        f.debug_struct("Handle")
            .field("lease", &self.lease_id.is_some())
            .field("accessor", &self.accessor.is_some())
            .finish()
    }
}

/// A credential for one server, as it is now.
pub struct Credential {
    pub(super) placed: Vec<Placed>,
    pub(super) not_after: Timestamp,
    pub(super) until: Instant,
    pub(super) handle: Handle,
}

impl Credential {
    /// Its secrets in their places.
    pub fn placed(&self) -> &[Placed] {
        &self.placed
    }

    /// The instant from which it is not used, by the clock on the wall.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The same by the clock that does not jump. Whichever comes first counts.
    pub fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn lives(&self, now: Instant, wall: Timestamp) -> bool {
        now < self.until && wall < self.not_after
    }

    /// Its lease, where there is one.
    pub fn lease_id(&self) -> Option<&str> {
        self.handle.lease_id.as_deref()
    }

    /// The accessor of the token that it is, where it is one of Vault's.
    pub fn accessor(&self) -> Option<&str> {
        self.handle.accessor.as_deref()
    }

    /// Puts what goes into headers there, in place of what stood under those names.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        for placed in &self.placed {
            let Place::Header(name) = &placed.place else { continue };
            let secret = placed.secret.expose_secret();
            let value = if *name == http::header::AUTHORIZATION && !has_scheme(secret) {
                HeaderValue::try_from(format!("Bearer {secret}"))
            } else {
                HeaderValue::from_str(secret)
            };
            // What cannot be a header was refused when it was placed. Were it here, whatever stood
            // under the name must not go upstream in its stead.
            headers.remove(name);
            if let Ok(mut value) = value {
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
    }

    /// What goes into the environment of a child: names and values.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.placed.iter().filter_map(|placed| match &placed.place {
            Place::Variable(name) => Some((name.as_str(), &placed.secret)),
            Place::Header(_) => None,
        })
    }

    /// Whether the environment of a child would be the same with the other.
    pub fn same_variables(&self, other: &Self) -> bool {
        let own = self.variables().map(|(name, secret)| (name, secret.expose_secret()));
        own.eq(other.variables().map(|(name, secret)| (name, secret.expose_secret())))
    }
}

/// Whether a secret says its own scheme, as `Basic …`. A token holds no space.
fn has_scheme(secret: &str) -> bool {
    secret.contains(' ')
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("placed", &self.placed)
            .field("not_after", &self.not_after)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(place: Place, text: &str) -> Result<Placed, Unavailable> {
        Placed::new(place, SecretString::from(text))
    }

    fn header(name: &'static str) -> Place {
        Place::Header(HeaderName::from_static(name))
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let handle = Handle { lease_id: Some("lease-1".into()), accessor: Some("acc-1".into()) };
        let credential = Credential {
            placed: vec![placed(header("authorization"), "hunter2").unwrap()],
            not_after: Timestamp(60),
            until: Instant::now(),
            handle,
        };
        let shown = format!("{credential:?} {credential:#?}");
        assert!(["hunter2", "lease-1", "acc-1"].iter().all(|secret| !shown.contains(secret)), "{shown}");
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer of-the-caller"));
        credential.write_headers(&mut headers);
        assert_eq!(headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer hunter2"]);
        assert!(!format!("{headers:?}").contains("hunter2"));
    }

    #[test]
    fn each_secret_goes_to_its_place() {
        let credential = Credential {
            placed: vec![
                placed(header("authorization"), "Basic dTpw").unwrap(),
                placed(header("x-api-key"), "key").unwrap(),
                placed(Place::Variable("PGPASSWORD".into()), "pass word\n").unwrap(),
            ],
            not_after: Timestamp(60),
            until: Instant::now(),
            handle: Handle::default(),
        };
        let mut headers = HeaderMap::new();
        credential.write_headers(&mut headers);
        assert_eq!(
            (&headers["authorization"], &headers["x-api-key"]),
            (&"Basic dTpw".parse().unwrap(), &"key".parse().unwrap())
        );
        let variables: Vec<_> = credential.variables().map(|(n, v)| (n, v.expose_secret())).collect();
        assert_eq!(variables, [("PGPASSWORD", "pass word\n")]);
    }

    #[test]
    fn what_cannot_be_there_is_refused() {
        for text in ["", "a\nb", "a\r\nx-evil: 1", "ü"] {
            assert_eq!(placed(header("x-key"), text).unwrap_err(), Unavailable::Unusable, "{text:?}");
        }
        assert!(placed(Place::Variable("A".into()), "a\0b").is_err());
        assert!(placed(Place::Variable("A".into()), &"x".repeat(LONGEST + 1)).is_err());
    }
}
