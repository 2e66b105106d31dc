//! Tokens of the development issuer: RFC 9068 access tokens whose claims stand where the policy looks.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{CLAIM, DevError, DevIssuer};
use crate::identity::MAX_TOKEN;
use crate::model::Timestamp;
use crate::policy::set::Algorithm;

/// How many random bytes a `jti` has.
const JTI: usize = 12;

/// What a token is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `sub`. May not be empty.
    pub subject: String,
    /// The acting client.
    pub agent: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// Further facts, by the names that the policy maps.
    pub claims: BTreeMap<String, Vec<String>>,
    /// The scopes; none for no `scope` at all.
    pub scopes: Vec<String>,
    /// `aud`.
    pub audience: Vec<String>,
    /// `exp - iat`, in seconds.
    pub lifetime: u32,
}

impl DevIssuer {
    /// A signed token, issued at `now`.
    ///
    /// # Errors
    ///
    /// When the policy would never accept such a token for its lifetime, or has no place for a fact.
    pub fn mint(&self, wanted: &Wanted, now: Timestamp) -> Result<SecretString, DevError> {
        let claims = self.claims(wanted, now)?;
        let algorithm = self.algorithm();
        let name = if algorithm == Algorithm::ES256 { "ES256" } else { "EdDSA" };
        let header = json!({ "alg": name, "kid": self.keys.kid(algorithm), "typ": "at+jwt" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&Value::Object(claims)));
        let signature = URL_SAFE_NO_PAD.encode(self.keys.sign(algorithm, signed.as_bytes())?);
        let token = format!("{signed}.{signature}");
        if token.len() > MAX_TOKEN { Err(DevError::Claims) } else { Ok(SecretString::from(token)) }
    }

    fn claims(&self, wanted: &Wanted, now: Timestamp) -> Result<Map<String, Value>, DevError> {
        if wanted.lifetime == 0 || wanted.lifetime > self.declared.max_lifetime {
            return Err(DevError::Lifetime);
        }
        let fits = |scope: &String| scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if wanted.subject.is_empty() || !wanted.scopes.iter().all(|scope| !scope.is_empty() && fits(scope)) {
            return Err(DevError::Claims);
        }
        let mut jti = [0; JTI];
        aws_lc_rs::rand::fill(&mut jti).map_err(|_| DevError::Crypto)?;
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", json!(self.url()));
        put("sub", json!(wanted.subject));
        put("iat", json!(now.0));
        put("exp", json!(now.plus(i64::from(wanted.lifetime)).0));
        put("jti", json!(URL_SAFE_NO_PAD.encode(jti)));
        put(CLAIM, json!(true));
        if !wanted.audience.is_empty() {
            put("aud", one_or_many(&wanted.audience));
        }
        if !wanted.scopes.is_empty() {
            put("scope", json!(wanted.scopes.join(" ")));
        }
        let mapping = &self.declared.claims;
        if let Some(agent) = &wanted.agent {
            place(&mut claims, mapping.agent.as_deref().ok_or(DevError::Claims)?, json!(agent))?;
        }
        if !wanted.groups.is_empty() {
            place(&mut claims, mapping.groups.as_deref().ok_or(DevError::Claims)?, json!(wanted.groups))?;
        }
        for (fact, values) in &wanted.claims {
            place(&mut claims, mapping.others.get(fact).ok_or(DevError::Claims)?, one_or_many(values))?;
        }
        Ok(claims)
    }
}

fn one_or_many(values: &[String]) -> Value {
    match values {
        [one] => json!(one),
        many => json!(many),
    }
}

/// Puts a value where the verifier finds it: under the whole path as one name if that looks like a
/// URL, or else in objects along the path. Never over anything else.
fn place(claims: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), DevError> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) if !path.contains('/') => (name, Some(rest)),
        _ => (path, None),
    };
    let Some(rest) = rest else {
        return match claims.insert(name.to_owned(), value.clone()) {
            Some(other) if other != value => Err(DevError::Claims),
            _ => Ok(()),
        };
    };
    match claims.entry(name).or_insert_with(|| json!({})) {
        Value::Object(inner) => place(inner, rest, value),
        _ => Err(DevError::Claims),
    }
}
