//! Texts that are, or hold, a secret, and the references that stand for one.
//!
//! Knows the shapes of common secrets; a text that it passes may still be one.

use std::ops::Range;

/// What a reference looks like, for help lines.
pub(super) const REFERENCE_HELP: &str =
    "name the place where the secret is kept: `env:NAME`, `file:PATH` or `vault:PATH#FIELD`";

/// How tokens of well-known kinds begin.
const PREFIXES: [&str; 24] = [
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
];

/// Parameters of a URL whose value is a secret.
const PARAMETERS: [&str; 8] =
    ["password", "passwd", "token", "access_token", "secret", "client_secret", "api_key", "apikey"];

/// Whether a text is a token by its looks.
pub(super) fn is_token(text: &str) -> bool {
    let word = text.strip_prefix("Bearer ").unwrap_or(text);
    let long = |rest: &str| {
        rest.len() >= 16 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    let digits = |rest: &str| rest.bytes().any(|b| b.is_ascii_digit());
    let jwt = word.starts_with("eyJ") && word.split('.').count() == 3 && word.len() > 40;
    jwt || word.contains("-----BEGIN ")
        || PREFIXES.iter().any(|p| word.strip_prefix(p).is_some_and(|r| long(r) && digits(r)))
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
    password || parameter || rest.split(['/', '#']).any(is_token)
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
    let breaks = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '[' | ']' | '{' | '}' | '(' | ')');
    let mut from = 0;
    text.split(breaks).filter_map(move |word| {
        let start = from;
        // What breaks words is one character, of one byte or more.
        from = start + word.len() + text.get(start + word.len()..)?.chars().next().map_or(0, char::len_utf8);
        in_argument(word).then(|| start..start + word.len())
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
}
