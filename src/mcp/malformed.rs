//! Why a body is not a message that can be judged.

use std::fmt;

use super::message::Id;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal => $rpc:literal;)+) => {
        /// What is wrong with a body. The set is closed and the codes are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MalformedCode {
            $($(#[$doc])* $variant,)+
        }

        impl MalformedCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable kebab-case code.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The JSON-RPC 2.0 error code to answer with.
            pub const fn rpc(self) -> i32 {
                match self {
                    $(Self::$variant => $rpc,)+
                }
            }
        }
    };
}

codes! {
    /// More bytes than the limit.
    TooLarge = "message-too-large" => -32600;
    /// Not JSON, or not UTF-8.
    NotJson = "message-not-json" => -32700;
    /// Nested deeper than the limit.
    TooDeep = "message-too-deep" => -32600;
    /// A key stands twice in one object, or two keys differ only in case.
    AmbiguousKey = "message-ambiguous-key" => -32600;
    /// A number of more digits than a reader of doubles keeps, so that what is judged is not what another reader sees.
    InexactNumber = "message-inexact-number" => -32600;
    /// A batch: the revisions read here have none.
    Batch = "message-batch" => -32600;
    /// JSON that is no JSON-RPC 2.0 message.
    NotRpc = "message-not-rpc" => -32600;
    /// A request whose parameters do not say what the method reaches.
    Params = "message-params" => -32602;
}

/// A body that cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub code: MalformedCode,
    /// What is wrong, in one line. Names keys of the body and never repeats a value.
    pub message: String,
    /// The id to answer to, when it could be read.
    pub id: Option<Id>,
}

impl Malformed {
    pub(super) fn new(code: MalformedCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), id: None }
    }

    pub(super) fn of(self, id: &Id) -> Self {
        Self { id: Some(id.clone()), ..self }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code.as_str())
    }
}

impl std::error::Error for Malformed {}
