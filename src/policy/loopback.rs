//! Whether a URL is on this machine, by its very text.

/// Whether the host of a URL is written as `localhost`, `127.0.0.0/8` or `[::1]`. No name is resolved and
/// no other spelling of an address counts.
pub(crate) fn is_loopback(url: &str) -> bool {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#', '\\']).next());
    let authority = authority.unwrap_or_default();
    if let Some(rest) = authority.strip_prefix("[::1]") {
        return rest.is_empty() || rest.starts_with(':');
    }
    let host = authority.split(':').next().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || is_loopback_v4(host)
}

fn is_loopback_v4(host: &str) -> bool {
    let mut parts = host.split('.');
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    let plain = |part: &str| digits(part) && part.parse::<u8>().is_ok();
    parts.next() == Some("127") && host.split('.').count() == 4 && parts.all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_that_are_this_machine_by_their_text_are_on_loopback() {
        for url in [
            "http://127.0.0.1:8788/x",
            "http://LOCALHOST",
            "http://[::1]:1/",
            "http://[::1]",
            "http://127.9.9.255",
            "https://localhost?x",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "http://user:127.0.0.1@example.com",
            "http://10.0.0.1",
            "http://127.1",
            "http://127.0.0.01",
            "http://127.0.0.256",
            "http://127.0.0.+1",
            "http://[::ffff:127.0.0.1]/",
            "http://[::1]x",
            "http://2130706433",
            "http://0.0.0.0",
            "127.0.0.1",
            "http://",
            "http://example.com/127.0.0.1",
            "http://example.com#@127.0.0.1",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
