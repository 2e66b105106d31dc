//! `[gateway]`: where it is, what it records, and how much it takes on.

use super::fields::{Fields, Reader};
use super::places::{each, is_url, leak, own_reference, own_references, url};
use crate::diagnostics::{Code, Span};
use crate::policy::duration::{DURATION_HELP, duration};
use crate::policy::secret;
use crate::policy::set::{Capture, Gateway, GatewayLimits, Tls};
use crate::policy::source::Node;

const LISTEN: &str = "127.0.0.1:8787";
const URL: &str = "http://127.0.0.1:8787";
/// The longest that the gateway waits for a caller, in seconds.
const LONGEST: u64 = 3600;

pub(super) fn gateway(reader: &mut Reader<'_>, node: Option<&Node<'_>>) -> Gateway {
    let mut gateway = Gateway { listen: LISTEN.to_owned(), url: URL.to_owned(), ..Gateway::default() };
    let keys = &[
        "listen",
        "url",
        "admin",
        "admin_token",
        "state_keys",
        "tls",
        "hosts",
        "origins",
        "capture",
        "traces",
        "limits",
        "danger_plain_http",
    ];
    let Some(fields) = node.and_then(|node| reader.table(node, "gateway", "the gateway", keys)) else {
        return gateway;
    };
    gateway.listen = address(reader, fields, "listen").unwrap_or(gateway.listen);
    gateway.admin = admin(reader, fields).unwrap_or_default();
    gateway.admin_token = own_reference(reader, fields, "admin_token");
    gateway.state_keys = own_references(reader, fields, "state_keys");
    if let Some(url) = url(reader, fields, "url") {
        gateway.url = url.value.trim_end_matches('/').to_owned();
    }
    gateway.tls = fields.get("tls").and_then(|node| tls(reader, node));
    gateway.capture = fields.get("capture").and_then(|node| capture(reader, node));
    let host_help = "write a host name without scheme and path, with a port only where callers send one";
    let is_host = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"/@?#*".contains(&b));
    gateway.hosts = each(reader, fields, "hosts", host_help, is_host);
    let origin_help = "write scheme, host and port as a browser sends them, as in `https://app.example.com`";
    let is_origin = |text: &str| is_url(text) && text.split("://").nth(1).is_some_and(|host| !host.contains('/'));
    gateway.origins = each(reader, fields, "origins", origin_help, is_origin);
    gateway.traces = url(reader, fields, "traces").map(|url| url.value.trim_end_matches('/').to_owned());
    gateway.limits = fields.get("limits").and_then(|node| limits(reader, node)).unwrap_or_default();
    gateway.danger_plain_http = reader.boolean(fields, "danger_plain_http").is_some_and(|at| at.value);
    gateway
}

fn address(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<String> {
    let help = "write `HOST:PORT`, as in `127.0.0.1:8787`";
    reader.parsed(fields, key, help, |text| is_address(text).then(|| text.to_owned())).map(|at| at.value)
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let host_fits = !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'@');
        host_fits && port.parse::<u16>().is_ok()
    })
}

fn admin(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<String> {
    let help = "write `HOST:PORT` on the loopback, as in `127.0.0.1:8788`, or `unix:PATH`";
    let is_socket = |text: &str| text.strip_prefix("unix:").is_some_and(|path| !path.is_empty());
    let at =
        reader.parsed(fields, "admin", help, |text| (is_socket(text) || is_address(text)).then(|| text.to_owned()));
    at.map(|at| at.value)
}

fn tls(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Tls> {
    let fields = reader.table(node, "tls", "TLS", &["certificate_file", "key_file", "client_ca_file"])?;
    for key in ["certificate_file", "key_file"] {
        reader.required(fields, key, "TLS", "\"/etc/doorward/tls.pem\"");
    }
    let mut file = |key| {
        let at = reader.text(fields, key)?;
        (!leak(reader, at.span, secret::is_token(at.value))).then(|| at.value.to_owned())
    };
    let (certificate, key, client_ca_file) = (file("certificate_file"), file("key_file"), file("client_ca_file"));
    Some(Tls { certificate_file: certificate?, key_file: key?, client_ca_file })
}

fn capture(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Capture> {
    let fields = reader.table(node, "capture", "a capture", &["directory", "percent", "file_mib", "total_mib"])?;
    reader.required(fields, "directory", "a capture", "\"captured\"");
    let mut number = |key, default: u32, most: u32| match reader.count::<u32>(fields, key) {
        Some(count) if (1..=most).contains(&count) => count,
        None => default,
        Some(_) => {
            let span = fields.get(key).map_or_else(Span::default, |node| node.span);
            let help = format!("write a whole number from 1 to {most}");
            reader.invalid(Code::InvalidValue, span, format!("`{key}` is out of range"), help);
            default
        }
    };
    let plain = Capture::default();
    let percent = number("percent", u32::from(plain.percent), 100);
    let (file_mib, total_mib) =
        (number("file_mib", plain.file_mib, 4096), number("total_mib", plain.total_mib, 1 << 24));
    let directory = reader.text(fields, "directory")?;
    (!leak(reader, directory.span, secret::is_token(directory.value))).then(|| Capture {
        directory: directory.value.to_owned(),
        percent: u8::try_from(percent).unwrap_or(plain.percent),
        file_mib,
        total_mib,
    })
}

fn limits(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<GatewayLimits> {
    let keys = [
        "connections",
        "requests",
        "requests_per_door",
        "requests_per_caller",
        "head_time",
        "body_time",
        "stall_time",
        "drain_time",
    ];
    let fields = reader.table(node, "limits", "the limits", &keys)?;
    let mut limits = GatewayLimits::default();
    let mut count = |key, limit: &mut u32| {
        let Some(count) = reader.count(fields, key) else { return };
        *limit = count;
        if let (0, Some(node)) = (count, fields.get(key)) {
            let help = "write 1 or a larger whole number";
            reader.invalid(Code::InvalidValue, node.span, format!("with `{key} = 0` nobody comes in"), help);
        }
    };
    count("connections", &mut limits.connections);
    count("requests", &mut limits.requests);
    count("requests_per_door", &mut limits.requests_per_door);
    count("requests_per_caller", &mut limits.requests_per_caller);
    let mut time = |key, limit: &mut u32| {
        let help = format!("{DURATION_HELP}, at most `1h`");
        let fits = |text: &str| duration(text).filter(|s| (1..=LONGEST).contains(s)).and_then(|s| s.try_into().ok());
        *limit = reader.parsed(fields, key, &help, fits).map_or(*limit, |at| at.value);
    };
    time("head_time", &mut limits.head_time);
    time("body_time", &mut limits.body_time);
    time("stall_time", &mut limits.stall_time);
    time("drain_time", &mut limits.drain_time);
    Some(limits)
}
