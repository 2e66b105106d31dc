//! Whether to colour, and where a person is watching.
//!
//! Colour never carries what the text does not say.

use std::io::IsTerminal;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl When {
    /// Whether stdout is coloured.
    pub(super) fn on_stdout(self) -> bool {
        self.decide(std::io::stdout().is_terminal())
    }

    /// Whether stderr is coloured.
    pub(super) fn on_stderr(self) -> bool {
        self.decide(std::io::stderr().is_terminal())
    }

    fn decide(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
                terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }
}
