//! The field maps that come with doorward.

/// A field map that comes with doorward.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// By which it is asked for.
    pub name: &'static str,
    /// What it reads, in one line.
    pub about: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal, $about:literal;)+) => {
        /// Every map that comes with doorward, by name.
        pub const SHIPPED: &[Shipped] =
            &[$(Shipped { name: $name, about: $about, text: include_str!(concat!("../maps/", $name, ".toml")) }),+];
    };
}

shipped! {
    "agentgateway", "agentgateway: its access log as JSON lines";
    "envoy", "Envoy with the field names of Kuadrant's gateway: its JSON access log";
    "jsonrpc", "MCP JSON-RPC messages: bare or wrapped, one a line or in a list; HAR";
    "mcpproxy", "mcpproxy-go: its activity log";
    "otlp", "OTLP JSON with the MCP conventions: the spans of servers";
    "otlp-client", "OTLP JSON with the MCP conventions: the spans of clients";
    "pomerium", "Pomerium: its authorize log";
    "toolhive", "ToolHive: its audit log";
}

/// The map of that name.
pub fn shipped(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|map| map.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Sources;
    use crate::traffic::fieldmap;

    #[test]
    fn every_shipped_map_can_be_used() {
        for map in SHIPPED {
            let mut sources = Sources::default();
            let loaded = fieldmap::load(map.name, map.text.as_bytes(), &mut sources);
            let loaded = loaded.unwrap_or_else(|problems| panic!("{}: {problems:#?}", map.name));
            assert!(!loaded.rules.is_empty() && !map.about.is_empty(), "{}", map.name);
        }
        assert!(SHIPPED.is_sorted_by_key(|map| map.name));
    }
}
