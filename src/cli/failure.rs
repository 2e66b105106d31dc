//! Why a question could not be answered: a stable code, one line, and what to do next.
//!
//! Problems inside a policy are diagnostics and have their own codes; these are about everything
//! around it. Nothing here prints.

use std::fmt;
use std::io;
use std::path::Path;

use crate::policy::FileError;
use crate::report::harmless;

macro_rules! failures {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $summary:literal;)+) => {
        /// What kind of failure. The codes are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $($(#[$doc])* $variant,)+
        }

        impl Kind {
            /// Every kind.
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as written on stderr.
            pub(super) const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// One line that says what the code stands for.
            pub(super) const fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)+
                }
            }

            /// The page that explains it, as Markdown.
            pub(super) const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../../docs/errors/", $code, ".md")),)+
                }
            }
        }
    };
}

failures! {
    /// The command line cannot be understood.
    Usage = "usage", "the command line cannot be understood";
    /// No policy was named and none was found.
    NoPolicy = "no-policy", "no policy was named and none was found";
    /// The policy has errors.
    BadPolicy = "bad-policy", "the policy has errors, which are listed before this line";
    /// A file cannot be read.
    CannotRead = "cannot-read", "a file cannot be read";
    /// A file cannot be written.
    CannotWrite = "cannot-write", "a file cannot be written";
    /// A file is larger than its limit.
    TooLarge = "too-large", "a file is larger than the limit for its kind";
    /// A file is not what it should be.
    BadInput = "bad-input", "a file or value does not hold what it should";
    /// A rehearsal that cannot be attested.
    NotAttested = "not-attested", "the rehearsal cannot be attested, or an attestation cannot be used";
    /// A name that the policy or doorward does not have.
    UnknownName = "unknown-name", "a name that the policy, or doorward itself, does not have";
    /// There is nothing to judge.
    NothingToDo = "nothing-to-do", "there is nothing to judge: no test, no recording";
    /// The development issuer cannot be used.
    DevIssuer = "dev-issuer", "the development issuer cannot be used";
    /// The gateway cannot start or go on.
    CannotServe = "cannot-serve", "the gateway cannot start, or cannot go on";
    /// A gateway gave no answer.
    Gateway = "gateway", "a running gateway gave no answer, or refused the question";
    /// `git` did not give the file.
    Git = "git", "git did not give the file of that revision";
    /// Vault gave no answer.
    Vault = "vault", "Vault did not do what was asked of it";
    /// A file is not the JSON of a compiled policy.
    CompiledMalformed = "compiled-malformed", "the file is not the JSON of a compiled policy";
    /// A compiled policy is in an unknown format.
    CompiledFormat = "compiled-format", "the compiled policy is in a format that this build does not read";
    /// A compiled policy was changed.
    CompiledDigest = "compiled-digest", "the compiled policy is not the one that its digest names";
    /// A compiled policy was not written by the compiler.
    CompiledInvalid = "compiled-invalid", "the compiled policy holds a set that the compiler never writes";
}

impl Kind {
    /// The kind of that code.
    pub(super) fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// What is wrong with a compiled policy. The codes are those of [`FileError::code`].
    pub(super) fn of(error: &FileError) -> Self {
        Self::parse(error.code()).unwrap_or(Self::BadInput)
    }
}

/// Why a question could not be answered. The exit code is 2.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    message: String,
    help: Option<String>,
    /// Finished text that goes before the line, such as the problems of a policy.
    before: String,
    broken_pipe: bool,
}

impl Failure {
    /// A failure with one line.
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, before: String::new(), broken_pipe: false }
    }

    /// Says what to do next.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Puts finished text before the line.
    #[must_use]
    pub(super) fn after(mut self, text: String) -> Self {
        self.before = text;
        self
    }

    /// A command line that cannot be understood, in the words of its parser.
    pub(super) fn usage(text: &str) -> Self {
        Self::new(Kind::Usage, text.trim_end())
    }

    /// A file that cannot be read.
    pub(super) fn reading(path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(Kind::CannotRead, format!("cannot read `{}`: {}", path.display(), cause(error)));
        match error.kind() {
            io::ErrorKind::NotFound => failure.help("check the path; nothing of that name is there"),
            io::ErrorKind::PermissionDenied => failure.help("let this user read the file"),
            io::ErrorKind::IsADirectory => failure.help("name a file in the directory"),
            _ => failure,
        }
    }

    /// A file that cannot be written.
    pub(super) fn writing(path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(Kind::CannotWrite, format!("cannot write `{}`: {}", path.display(), cause(error)));
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { broken_pipe: true, ..failure },
            io::ErrorKind::NotFound => failure.help("create the directory first"),
            io::ErrorKind::PermissionDenied => failure.help("let this user write there, or name another file"),
            io::ErrorKind::AlreadyExists => failure.help("use --force to replace it"),
            _ => failure,
        }
    }

    /// The stable code.
    #[cfg(feature = "gateway")]
    pub(super) const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// What is wrong, in one line.
    #[cfg(feature = "gateway")]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    #[cfg(feature = "gateway")]
    pub(super) fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Whether all that happened is that the reader of our output has seen enough.
    pub(super) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

/// The cause in plain words; the operating system's own where we have none.
fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".to_owned(),
        io::ErrorKind::AlreadyExists => "it already exists".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.before)?;
        write!(f, "error[{}]: ", self.kind.code())?;
        // The words of the command line's parser come in lines; no other message does.
        for (number, line) in self.message.split('\n').enumerate() {
            write!(f, "{}{}", if number == 0 { "" } else { "\n" }, harmless(line))?;
        }
        writeln!(f)?;
        match &self.help {
            Some(help) => writeln!(f, "  = help: {}", harmless(help)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_failure_quotes_reaches_the_terminal_as_a_command() {
        let failure = Failure::new(Kind::Usage, "no `a\u{1b}[31m`\n\u{202e}b").help("try \u{7}c");
        assert_eq!(failure.to_string(), "error[usage]: no `a\u{241b}[31m`\n\u{fffd}b\n  = help: try \u{2407}c\n");
    }
}
