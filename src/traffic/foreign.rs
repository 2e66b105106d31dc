//! What another system decided when an event was recorded.
//!
//! It is kept in that system's own words and compared with as recorded. It is never taken for a
//! decision of doorward: it has no digest and no reason code, and it proves nothing about an engine.

use serde::{Deserialize, Serialize};

use crate::model::Effect;
use crate::policy::mask_secrets;

/// The longest verdict that is kept, in bytes.
const MAX_SAID: usize = 128;

/// The longest explanation that is kept, in bytes.
const MAX_BECAUSE: usize = 512;

/// What a text that was cut ends in.
const CUT: &str = "…";

/// A verdict of a system that is not doorward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// What it came to.
    pub effect: Effect,
    /// Who decided: the name of the log's format, or of the field map that read it.
    pub by: String,
    /// The verdict in the log's own word, such as `blocked` or `403`.
    pub said: String,
    /// The log's explanation, where it gives one.
    #[serde(default, deserialize_with = "super::strict::present", skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl Foreign {
    /// A verdict, without the secrets in it. A long word or explanation is cut, and says so by its last
    /// character.
    pub fn new(effect: Effect, by: &str, said: &str, because: Option<&str>) -> Self {
        let mut foreign =
            Self { effect, by: by.to_owned(), said: said.to_owned(), because: because.map(str::to_owned) };
        foreign.redact();
        foreign
    }

    /// Takes out secrets, then cuts, so that none is left in part.
    pub(super) fn redact(&mut self) {
        self.said = kept(&self.said, MAX_SAID);
        self.because = self.because.as_deref().map(|text| kept(text, MAX_BECAUSE));
    }
}

fn kept(text: &str, most: usize) -> String {
    let masked = mask_secrets(text);
    // What was cut before is not cut again.
    if masked.len() <= most || (masked.len() <= most + CUT.len() && masked.ends_with(CUT)) {
        return masked.into_owned();
    }
    let end = masked.floor_char_boundary(most);
    masked.get(..end).unwrap_or_default().to_owned() + CUT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{line, read_event};

    const EVENT: &str = r#"{"time":1,"door":"d","method":"tools/call","name":"t""#;

    #[test]
    fn a_foreign_verdict_is_written_and_read_back() {
        let text = format!(r#"{EVENT},"foreign":{{"effect":"deny","by":"proxy","said":"blocked","because":"no"}}}}"#);
        let event = read_event(text.as_bytes()).unwrap();
        assert_eq!(event.foreign, Some(Foreign::new(Effect::Deny, "proxy", "blocked", Some("no"))));
        assert!(event.decided.is_none());
        assert_eq!(line(&event).unwrap(), text);
    }

    #[test]
    fn a_foreign_verdict_never_stands_beside_a_decision_and_has_no_digest() {
        let foreign = r#""foreign":{"effect":"allow","by":"proxy","said":"ok"}"#;
        let decided = r#""decided":{"effect":"allow","reason":"granted","digest":"sha256:0"}"#;
        let both = read_event(format!("{EVENT},{decided},{foreign}}}").as_bytes()).unwrap_err();
        insta::assert_snapshot!(both, @"1: `decided` and `foreign` exclude each other: one system decided (not-an-event)");
        let digest = foreign.replace("\"said\"", "\"digest\":\"sha256:0\",\"said\"");
        assert!(read_event(format!("{EVENT},{digest}}}").as_bytes()).is_err());
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_behind_its_secrets() {
        let long = "ä".repeat(MAX_BECAUSE);
        let mut foreign = Foreign::new(Effect::Deny, "p", &long, Some(&long));
        let again = foreign.clone();
        foreign.redact();
        assert_eq!(foreign, again);
        let because = foreign.because.unwrap();
        assert!(because.len() <= MAX_BECAUSE + 3 && because.ends_with("ä…"));
        assert!(foreign.said.len() <= MAX_SAID + 3 && foreign.said.ends_with("ä…"));
        let token = format!("{} ghp_0123456789abcdefABCD", "x".repeat(MAX_SAID - 10));
        assert!(!Foreign::new(Effect::Deny, "p", &token, None).said.contains("ghp"));
    }
}
