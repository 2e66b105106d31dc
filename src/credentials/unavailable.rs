//! Why there is no credential. The caller learns `credential-unavailable` and nothing more.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)+) => {
        /// Why there is no credential. For the operator; it never holds a secret, an address or a path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Unavailable {
            $($(#[$doc])* $variant,)+
        }

        impl Unavailable {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable kebab-case code.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// One line for the operator, with what to do.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

reasons! {
    /// No such server, or none any more.
    Undeclared = "credential-undeclared", "the policy declares no such server";
    /// The reference names nothing that can be read.
    Reference = "credential-reference", "the reference to the secret cannot be read; check the variable or the file";
    /// Not what a header or an environment variable can hold.
    Unusable = "credential-unusable", "what came is empty, too long, or cannot be in a header or a variable";
    /// A field that the policy places is not there.
    Field = "credential-field", "a field that the policy places is not in the secret";
    /// Its life was over when it came.
    Expired = "credential-expired", "its life was over when it came; check the clocks and the ttl";
    /// The record is of another server, or written by another hand.
    Foreign = "credential-foreign", "the record at that path belongs to another server; give each server its own path";
    /// The token has other policies than those declared.
    Policies = "credential-policies", "the token has other policies than declared; apply the plan with `doorward vault apply`";
    /// It neither ends soon nor can be taken back, or lives longer than was declared.
    Lasting = "credential-lasting", "it lives longer than the policy allows, or nobody can take it back; give its role a lease and a short ttl";
    /// The token is for another audience.
    Audience = "credential-audience", "the token is for another audience; apply the plan with `doorward vault apply`";
    /// The address is neither https nor this machine.
    Address = "vault-address-refused", "the address must be `https`, or `http` to this machine, and hold no credentials";
    /// The certificate authority, client certificate or key cannot be used.
    Tls = "vault-tls", "the certificate authority, client certificate or key for Vault cannot be used";
    /// No connection.
    Unreachable = "vault-unreachable", "Vault cannot be reached";
    /// No answer in time.
    TimedOut = "vault-timed-out", "Vault did not answer in time";
    /// The connection broke before the answer was whole.
    Cut = "vault-cut", "the connection to Vault broke";
    /// 503: sealed, or not initialised.
    Sealed = "vault-sealed", "Vault is sealed or not ready; unseal it";
    /// A redirect, which a standby answers with, or 412, when it is behind. Never followed: the token would travel.
    Standby = "vault-standby", "this Vault is a standby that redirects, which is never followed; name the active one";
    /// 429.
    Busy = "vault-busy", "Vault asks for fewer requests";
    /// 403 to a login that is alive.
    Denied = "vault-denied", "Vault denies this to doorward's login; see `doorward vault verify`";
    /// The login is refused.
    Login = "vault-login", "Vault refuses doorward's login; check the role and its secret";
    /// 404.
    NotFound = "vault-not-found", "Vault has nothing at that path; apply the plan with `doorward vault apply`";
    /// Another 4xx.
    Refused = "vault-refused", "Vault refuses the request as wrong; see `doorward vault verify`";
    /// Another 5xx.
    Failed = "vault-failed", "Vault failed inside";
    /// Not the JSON that Vault answers with.
    Malformed = "vault-malformed", "the answer is not one of Vault's";
    /// Many gateways wrote at once, and the others won too often.
    Contended = "vault-contended", "other gateways replaced the record each time";
    /// A panic.
    Fault = "credential-fault", "a fault in doorward: please report it with the log";
    /// There is no runtime, or everything is being shut down.
    Stopped = "credential-stopped", "credentials are being shut down";
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.code())
    }
}

impl std::error::Error for Unavailable {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_there_once() {
        let codes: BTreeSet<_> = Unavailable::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Unavailable::ALL.len());
    }
}
