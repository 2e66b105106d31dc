//! Why a token is not believed, and why a key is not used.

macro_rules! refusals {
    ($(#[$set:meta])* $name:ident: $($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)+) => {
        $(#[$set])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable kebab-case code.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// One line for the operator. Never goes to a caller.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} ({})", self.text(), self.code())
            }
        }

        impl std::error::Error for $name {}
    };
}

pub(super) use refusals;

use super::fetch::FetchError;

refusals! {
    /// Why a token is not believed. A caller is told `invalid_token` (RFC 6750) and nothing more.
    Refused:
    /// Longer than [`super::MAX_TOKEN`].
    TooLarge = "token-too-large", "the token is longer than any that is read";
    /// Not a JWS in compact form.
    Malformed = "token-malformed", "the token is not a JWT in compact form";
    /// A `typ` of something that is not an access token.
    Type = "token-type", "the token says by `typ` that it is no access token";
    /// A header member that would change how the token is read or which key is used.
    Header = "token-header", "the token's header asks for an extension or brings its own key";
    /// `alg` is `none`, symmetric, unknown or not allowed for the issuer.
    Algorithm = "token-algorithm", "the token's algorithm is not one that its issuer may use";
    /// `iss` is missing or of no declared issuer.
    Issuer = "token-issuer", "the token's issuer is not declared";
    /// No key of the issuer has this `kid` and fits the algorithm.
    UnknownKey = "token-key-unknown", "the issuer has no key of that `kid` for that algorithm";
    /// The signature does not verify.
    Signature = "token-signature", "the token's signature does not verify";
    /// A claim is missing, of another type, too long or too many.
    Claims = "token-claims", "a claim of the token is missing or not of its type";
    /// The claims are those of an ID token.
    IdToken = "token-is-id-token", "the token is an ID token, which is for the client and opens no door";
    /// The token is bound to a key (RFC 7800 `cnf`) and no proof of possession came with it.
    ProofRequired = "token-proof-required", "the token is bound to a key, and a proof of possession is not supported";
}

refusals! {
    /// Why a key of a JWKS is not used.
    RefusedKey:
    /// Symmetric: whoever verifies could sign.
    Symmetric = "key-symmetric", "a symmetric key cannot tell the issuer from a verifier";
    /// The private part was published.
    Private = "key-private", "the private part of the key was published";
    /// Not for signatures.
    Use = "key-use", "the key is not for verifying signatures";
    /// A type, curve or algorithm that is not verified here.
    Unsupported = "key-unsupported", "the key's type, curve or algorithm is not one that is verified here";
    /// RSA of fewer than 2,048 or more than 8,192 bits, or an odd exponent.
    Strength = "key-strength", "the RSA key is shorter than 2,048 bits, longer than 8,192 or has a weak exponent";
    /// Its values cannot be read.
    Malformed = "key-malformed", "the key's values cannot be read";
}

impl Refused {
    /// What to do next. For the operator; never goes to a caller.
    pub const fn help(self) -> &'static str {
        match self {
            Self::TooLarge => "have the issuer put fewer groups into the token: 16 KiB is the limit",
            Self::Malformed => "check that this is the access token, whole and alone",
            Self::Type => "use the access token; an ID token or an ID-JAG is for somebody else",
            Self::Header => "have the issuer sign plain tokens; keys are never taken from a token",
            Self::Algorithm => "see `algorithms` of the issuer in the policy, and which one it signs with",
            Self::Issuer => "`iss` must be the `url` of an issuer in the policy, to the letter",
            Self::UnknownKey => "see which keys the issuer publishes; a new one is found within seconds",
            Self::Signature => "the token was changed, or signed by somebody else than its issuer",
            Self::Claims => "see what the issuer puts into the token, and `claims` of it in the policy",
            Self::IdToken => "use the access token of the same answer",
            Self::ProofRequired => "have the issuer give a token that is not bound to a key",
        }
    }
}

impl FetchError {
    /// What to do next. For the operator.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Url => "write the issuer's URLs with `https`, without a user, a password or a fragment",
            Self::Address => "write `network = \"private\"` if the issuer is on the organisation's own network",
            Self::Unreachable | Self::TimedOut => "see whether the issuer runs and can be reached from here",
            Self::NotFound => "check `url`, `jwks_url` or `jwks_file` of the issuer",
            Self::Answer => "see what the issuer's own log says",
            Self::Redirect => "name the place that it leads to as `jwks_url`",
            Self::TooLarge => "have the issuer publish fewer keys: 256 KiB is the limit",
            Self::ContentType => "have the issuer serve its metadata and keys as `application/json`",
            Self::File => "let this user read the file of `jwks_file`",
            Self::Metadata => "name the issuer's keys as `jwks_url` in place of discovery",
            Self::Issuer => "write `url` of the issuer exactly as its metadata says `issuer`",
            Self::Keys => "check that `jwks_url` or `jwks_file` leads to a JWK set",
            Self::Stopped => "start again",
        }
    }
}
