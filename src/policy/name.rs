//! Names: which ones the language takes, and how a foreign one is shown.
//!
//! Text from a file is never put into a message raw.

/// The longest name.
pub(super) const MAX_NAME: usize = 200;
/// How many characters of a foreign text a message shows.
const SHOWN: usize = 80;

/// Whether a text can name a server, an issuer, a claim or an audit class.
pub(crate) fn is_plain(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name
            .bytes()
            .enumerate()
            .all(|(i, b)| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || (b == b'.' && i > 0))
        && !name.is_empty()
}

/// Whether a text can name a tool or prompt: scope-token characters (RFC 6749 section 3.3) without
/// those that references and globs use.
pub(crate) fn is_item(name: &str) -> bool {
    is_scope(name) && !name.contains(':')
}

/// Whether a text can name a scope: a scope-token without wildcards.
pub(crate) fn is_scope(name: &str) -> bool {
    let fits = |b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e) && !matches!(b, b'*' | b'?');
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(fits)
}

/// Whether [`quoted`] would show a text as it is.
pub(super) fn is_shown_whole(text: &str) -> bool {
    text.chars().nth(SHOWN).is_none() && !text.contains(hides)
}

/// A foreign text, fit to stand in a message: shortened, and with whatever could move a cursor,
/// change the direction of writing or hide itself written as an escape.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(4 * SHOWN));
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN {
            shown.push('…');
            break;
        }
        if hides(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A whole message of a library on one line.
pub(super) fn quoted_line(text: &str) -> String {
    text.chars().flat_map(|c| if hides(c) { c.escape_unicode().collect() } else { vec![c] }).take(400).collect()
}

/// Control, format and direction characters.
pub(crate) fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_what_a_scope_can_hold() {
        assert!(is_plain("tickets-2.eu_x") && is_plain("_") && !is_plain(".x") && !is_plain("") && !is_plain("a:b"));
        assert!(is_item("get/issue.v2") && is_item("a!") && !is_item("a b") && !is_item("a:b") && !is_item("a*"));
        assert!(is_scope("tickets:read") && !is_scope("a?") && !is_scope("é") && !is_scope("a\\") && !is_scope("a\""));
        assert!(!is_plain(&"a".repeat(201)));
    }

    #[test]
    fn a_foreign_text_cannot_disturb_a_message() {
        assert_eq!(quoted("a\u{1b}[2J\n\u{202e}b"), r"a\u{1b}[2J\u{a}\u{202e}b");
        assert_eq!(quoted("zoë"), "zoë");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 81);
        assert_eq!(quoted_line("a\nb"), r"a\u{a}b");
    }
}
