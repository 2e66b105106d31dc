//! Texts that are, or hold, a secret, and the references that stand for one.
//!
//! Knows the shapes of common secrets; a text that it passes may still be one.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a reference looks like, for help lines.
pub(super) const REFERENCE_HELP: &str = "name the place where the secret is kept: `env:NAME` or `file:PATH`";

/// How tokens of well-known kinds begin.
const PREFIXES: [&str; 30] = [
    "hvs.",
    "hvb.",
    "hvr.",
    "s.",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "npm_",
    "pypi-",
    "xoxs-",
    "xoxe-",
    "hf_",
    "SG.",
    "shpat_",
    "GOCSPX-",
];

/// The least length of a token of any of these kinds, with how it begins.
const SHORTEST_TOKEN: usize = 2 + LEAST;
/// What must follow such a beginning, in bytes.
const LEAST: usize = 16;

/// Parameters of a URL, options of a command and arguments of a call whose value is a secret.
const PARAMETERS: [&str; 13] = [
    "password",
    "passwd",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "secret",
    "client_secret",
    "api_key",
    "apikey",
    "x_api_key",
    "private_key",
    "authorization",
];

/// What stands for a secret that was taken out.
pub(crate) const REDACTED: &str = "[redacted]";

/// What a key or certificate in PEM begins and ends with (RFC 7468).
const PEM: (&str, &str) = ("-----BEGIN ", "-----END ");

/// Whether a text is a token by its looks.
pub(super) fn is_token(text: &str) -> bool {
    let word = text.strip_prefix("Bearer ").unwrap_or(text);
    if word.len() < SHORTEST_TOKEN {
        return word.contains(PEM.0);
    }
    let long = |rest: &str| {
        rest.len() >= LEAST && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    let digits = |rest: &str| rest.bytes().any(|b| b.is_ascii_digit());
    // Three parts of a signed token, five of an encrypted one, or what is left of either.
    let mut parts = word.split('.').skip(1);
    let cut = parts.next().is_some_and(|second| second.starts_with("eyJ"));
    let jwt = word.starts_with("eyJ") && (cut || matches!(word.split('.').count(), 3 | 5)) && word.len() > 40;
    jwt || word.contains(PEM.0) || PREFIXES.iter().any(|p| word.strip_prefix(p).is_some_and(|r| long(r) && digits(r)))
}

/// Whether a URL carries a password or a secret parameter.
pub(super) fn in_url(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return is_token(url) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') || is_token(user));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let parameter = query.split(['&', '#']).any(|pair| {
        pair.split_once('=').is_some_and(|(key, value)| {
            !value.is_empty() && (PARAMETERS.iter().any(|p| key.eq_ignore_ascii_case(p)) || is_token(value))
        })
    });
    // The path of one may hold another.
    password || parameter || rest.split(['/', '#']).any(is_token) || (rest.contains("://") && in_url(rest))
}

/// Whether an argument of a command carries a secret.
pub(crate) fn in_argument(argument: &str) -> bool {
    let option = argument.split_once('=').is_some_and(|(key, value)| {
        let name = key.trim_start_matches('-').replace('-', "_");
        !value.is_empty() && (PARAMETERS.iter().any(|p| name.eq_ignore_ascii_case(p)) || is_token(value))
    });
    option || is_token(argument) || (argument.contains("://") && in_url(argument))
}

/// Where in a text of any kind, one that is no TOML too, secrets stand by their looks.
pub(super) fn in_text(text: &str) -> impl Iterator<Item = Range<usize>> {
    words(text).filter(|(_, word)| in_argument(word)).map(|(start, word)| start..start + word.len())
}

/// The words of a text, with where each begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let breaks = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '[' | ']' | '{' | '}' | '(' | ')');
    let mut from = 0;
    text.split(breaks).map(move |word| {
        let start = from;
        // What breaks words is one character, of one byte or more.
        let behind = text.get(start + word.len()..).and_then(|rest| rest.chars().next());
        from = start + word.len() + behind.map_or(0, char::len_utf8);
        (start, word)
    })
}

/// Whether the value under this name is a secret, whatever it looks like.
pub(crate) fn is_named(key: &str) -> bool {
    let letter = |(own, found): (u8, u8)| own.eq_ignore_ascii_case(&found) || (own == b'_' && found == b'-');
    PARAMETERS.iter().any(|name| name.len() == key.len() && name.bytes().zip(key.bytes()).all(letter))
}

/// Whether there is a secret anywhere in what others wrote: a value, a name or a message.
pub(crate) fn holds(text: &str) -> bool {
    !found(text).is_empty()
}

/// What others wrote, without the secrets in it.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    let found = found(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for range in found {
        out.push_str(text.get(from..range.start).unwrap_or_default());
        out.push_str(REDACTED);
        from = range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether a text is one word like most names, of which none can hold a secret: too short for a token, and neither
/// a scheme and what follows it, nor a parameter with its value, nor a URL.
fn is_short_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b':');
    text.len() < SHORTEST_TOKEN && text.bytes().all(plain) && !text.contains("://")
}

/// Where secrets stand, in order and apart. Wider than [`in_text`]: a text here is nobody's policy, so
/// that one word too many costs little.
fn found(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if is_short_name(text) {
        return found;
    }
    // What stands before a word: the name of a scheme, and whether a header or nothing else is before that.
    let (mut scheme, mut sure) = (None, false);
    for (start, word) in words(text) {
        let word = word.trim_end_matches(['.', ';', ':', '!', '?']);
        if word.is_empty() {
            continue;
        }
        // What was taken out is not taken out again: brackets break words.
        if scheme.is_some() && REDACTED.trim_matches(['[', ']']) == word {
            (scheme, sure) = (None, false);
            continue;
        }
        let credential = match scheme {
            Some(Scheme::Bearer) => sure || is_bearer(word),
            Some(Scheme::Basic) => is_basic(word),
            None => false,
        };
        if credential || word.split('&').any(in_argument) {
            found.push(start..start + word.len());
        } else if word.len() > 16 {
            found.extend(parts(word).map(|part| start + part.start..start + part.end));
        }
        let mut runs = word.rsplit(|c: char| !c.is_ascii_alphanumeric());
        let last = runs.next().unwrap_or(word);
        let header = |word: &str| word.eq_ignore_ascii_case("authorization");
        // RFC 9110: the name of a scheme is in either case.
        scheme = match last {
            bearer if bearer.eq_ignore_ascii_case("bearer") => Some(Scheme::Bearer),
            basic if basic.eq_ignore_ascii_case("basic") => Some(Scheme::Basic),
            _ => None,
        };
        let alone = start == 0 && last.len() == word.len() && text.split_whitespace().count() == 2;
        sure = match scheme {
            Some(_) => sure || alone || runs.any(header),
            None => header(last),
        };
    }
    if text.contains(PEM.0) {
        found.extend(pem(text));
        found.sort_by_key(|range| (range.start, range.end));
        found.dedup_by(|next, kept| {
            let together = next.start < kept.end;
            if together {
                kept.end = kept.end.max(next.end);
            }
            together
        });
    }
    found
}

/// The schemes of RFC 6750 and RFC 7617.
enum Scheme {
    Bearer,
    Basic,
}

/// Whether what stands behind `Bearer` is a token, and not the next word of a sentence.
fn is_bearer(word: &str) -> bool {
    let inner = word.bytes().skip(1).any(|b| b.is_ascii_uppercase()) && word.bytes().any(|b| b.is_ascii_lowercase());
    word.len() >= 16 || inner || word.bytes().any(|b| !b.is_ascii_alphabetic())
}

/// Whether what stands behind `Basic` is a name and a password in base64.
fn is_basic(word: &str) -> bool {
    STANDARD.decode(word).is_ok_and(|decoded| decoded.contains(&b':'))
}

/// The tokens in a word that is more than one, such as `key:TOKEN` and `ana-TOKEN`.
fn parts(word: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = word.as_bytes();
    let (mut from, mut at) = (0, 0);
    std::iter::from_fn(move || {
        loop {
            let start = at;
            let byte = bytes.get(start)?;
            at += 1;
            // A token begins the word, or behind a character that is none of its own; behind a backslash,
            // behind the letter that was escaped.
            let behind = |back: usize| start.checked_sub(back).and_then(|at| bytes.get(at)).copied();
            let begins = behind(1).is_none_or(|b| !b.is_ascii_alphanumeric()) || behind(2) == Some(b'\\');
            if start < from || !begins || !byte.is_ascii_alphanumeric() {
                continue;
            }
            let rest = bytes.get(start..).unwrap_or_default();
            let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)).count();
            let Some(run) = word.get(start..start + length) else { continue };
            if is_token(run) {
                from = start + length;
                return Some(start..from);
            }
        }
    })
}

/// Keys and certificates, each to the line that ends it; without one, to the end.
fn pem(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text.get(from..)?.find(PEM.0)?;
        let end = text.get(start..)?.find(PEM.1).map(|end| start + end + PEM.1.len());
        let closing = end.and_then(|end| Some(end + text.get(end..)?.find("-----")? + 5));
        from = closing.unwrap_or(text.len());
        Some(start..from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_a_text_that_is_no_toml() {
        let text = "a = \"h\", b = \"ghp_0123456789abcdefABCD\"\u{2028}https://u:p@h/ \u{e9} x";
        let found: Vec<&str> = in_text(text).map(|range| text.get(range).unwrap()).collect();
        assert_eq!(found, ["ghp_0123456789abcdefABCD", "https://u:p@h/"]);
    }

    #[test]
    fn secrets_are_known_by_their_looks() {
        assert!(
            is_token("hvs.CAESIJ0123456789abcdef")
                && is_token("ghp_0123456789abcdefABCD")
                && is_token("AKIA0123456789ABCDEF1")
        );
        assert!(is_token("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"));
        assert!(!is_token("TICKETS_TOKEN") && !is_token("s.") && !is_token("sk-learn-and-other-long-names"));
        assert!(in_url("https://u:p@h/") && in_url("https://h/x?access_token=1") && in_url("postgres://u:p@h/db"));
        assert!(!in_url("https://u@h/") && !in_url("https://h:80/a:b@c") && !in_url("https://h/?page=2"));
        assert!(in_argument("--token=abc") && in_argument("--api-key=1") && in_argument("https://u:p@h"));
        assert!(!in_argument("--repository") && !in_argument("/srv/repo") && !in_argument("--token-file=/run/x"));
    }

    #[test]
    fn secrets_are_taken_out_of_what_others_wrote() {
        for (text, masked) in [
            ("token=abc", "[redacted]"),
            ("a=1&password=abc", "[redacted]"),
            ("no: Bearer abc is late", "no: Bearer abc is late"),
            ("Bearer abc", "Bearer [redacted]"),
            ("authorization: bearer abc is late", "authorization: bearer [redacted] is late"),
            ("Basic Setup, a Bearer Token", "Basic Setup, a Bearer Token"),
            ("no: Bearer s3cr3t.", "no: Bearer [redacted]."),
            ("Authorization:bearer \"AbCdEf\"", "Authorization:bearer \"[redacted]\""),
            ("Basic dXNlcjpw, then", "Basic [redacted], then"),
            ("key:AKIAIOSFODNN7EXAMPLE;", "key:[redacted];"),
            ("ana-ghp_0123456789abcdefABCD/x/xghp_0123456789abcdefABCD", "ana-[redacted]/x/xghp_0123456789abcdefABCD"),
            ("https://h/x/https://u:p@h/", "[redacted]"),
            ("a\\nghp_0123456789abcdefABCD\\t", "a\\n[redacted]\\t"),
            ("at https://u:p@h/x and https://h/y", "at [redacted] and https://h/y"),
            ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2ln.", "[redacted]."),
            ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbmEiLCJhIjo", "[redacted]"),
            ("a -----BEGIN X-----\nM12\n-----END X----- b -----BEGIN Y", "a [redacted] b [redacted]"),
            ("sha256:8c2059c277c1b8754e47c0970266f22eb9855255", "sha256:8c2059c277c1b8754e47c0970266f22eb9855255"),
            ("3f2a8c1e-0b1c-4d2e-9f3a-123456789abc", "3f2a8c1e-0b1c-4d2e-9f3a-123456789abc"),
        ] {
            assert_eq!(mask(text), masked);
            assert_eq!(holds(text), text != masked, "{text}");
        }
        assert!(PREFIXES.iter().all(|prefix| prefix.len() + LEAST >= SHORTEST_TOKEN), "none hides in a short name");
        assert!(is_named("API-Key") && is_named("password") && !is_named("page_token") && !is_named("pass"));
    }
}
