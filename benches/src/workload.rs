//! The work: one policy and one list of requests, made from a seed and known to every engine.
//!
//! Nothing here belongs to an engine. A [`Call`] owns what a gateway would have read off the wire;
//! an [`Ask`] borrows it, and is what every engine starts from.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// The instant at which every request is judged: 2026-01-01T00:00:00Z.
pub const NOW: i64 = 1_767_225_600;
/// How far `iat` and `nbf` may lie in the future.
pub const CLOCK_SKEW: i64 = 30;
/// The longest `exp - iat`.
pub const MAX_LIFETIME: i64 = 3_600;
/// How many requests are asked.
pub const CALLS: usize = 4_096;
/// How many groups a subject is in.
pub const GROUPS_OF_A_SUBJECT: usize = 5;

const ISSUERS: [&str; 2] = ["corp", "partners"];
const SUBJECTS: usize = 64;
const VERBS: [&str; 5] = ["get", "list", "create", "update", "delete"];
const NOUNS: [&str; 4] = ["ticket", "invoice", "document", "customer_record"];
const TEAMS: [&str; 16] = [
    "support",
    "finance",
    "platform",
    "data-engineering",
    "security",
    "legal",
    "sales-emea",
    "sales-us",
    "hr",
    "research",
    "contractor",
    "on-call",
    "it-operations",
    "marketing",
    "executive-office",
    "qa",
];

/// How large the policy is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Servers.
    pub servers: usize,
    /// Tools of each server.
    pub tools: usize,
    /// Grants; a twentieth as many denies come on top.
    pub grants: usize,
    /// Groups that the grants choose from.
    pub groups: usize,
}

impl Size {
    /// 50 servers, 1,000 tools, 200 grants, 16 groups.
    pub const STANDARD: Self = Self { servers: 50, tools: 20, grants: 200, groups: 16 };
}

/// A policy in no engine's words.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The doors.
    pub servers: Vec<Server>,
    /// What is allowed.
    pub grants: Vec<Rule>,
    /// What is denied whatever is allowed.
    pub denies: Vec<Rule>,
}

/// A door with its tools.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// What `aud` must hold.
    pub resource: String,
    /// The issuers that it accepts.
    pub issuers: Vec<&'static str>,
    /// Seconds for which a token is honoured after `iat`.
    pub token_ttl: i64,
    /// The tools.
    pub tools: Vec<Tool>,
}

/// A tool.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// A shorter `token_ttl`, for one tool in ten.
    pub token_ttl: Option<i64>,
    /// The token scopes that carry it: its own, its server's, and that of reading tools.
    pub scopes: Vec<String>,
}

/// A grant or a deny.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The groups of which one suffices.
    pub groups: Vec<String>,
    /// The server, by its place.
    pub server: usize,
    /// The tool by its place; `None` for the whole server.
    pub tool: Option<usize>,
    /// What it asks of the arguments.
    pub condition: Condition,
}

/// What a rule asks of the arguments. A missing argument fails a grant and satisfies a deny.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Nothing.
    None,
    /// `amount` is at most this.
    Max(i64),
    /// `amount` is at least this.
    Min(i64),
    /// `path` starts with this.
    Prefix(String),
}

/// What a gateway has read: the facts of a verified token and a parsed `tools/call`.
#[derive(Clone, Debug)]
pub struct Call {
    issuer: String,
    subject: String,
    agent: String,
    groups: Vec<String>,
    scopes: Vec<String>,
    audience: Vec<String>,
    issued_at: i64,
    expires_at: i64,
    server: String,
    tool: String,
    arguments: Map<String, Value>,
}

/// One question, borrowed.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// The issuer, by its name in the policy.
    pub issuer: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// The client.
    pub agent: &'a str,
    /// The groups of the subject.
    pub groups: Vec<&'a str>,
    /// The scopes of the token.
    pub scopes: Vec<&'a str>,
    /// `aud`.
    pub audience: Vec<&'a str>,
    /// `iat`.
    pub issued_at: i64,
    /// `exp`.
    pub expires_at: i64,
    /// The door.
    pub server: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// The arguments.
    pub arguments: &'a Map<String, Value>,
}

impl Call {
    /// The same, borrowed.
    pub fn ask(&self) -> Ask<'_> {
        Ask {
            issuer: &self.issuer,
            subject: &self.subject,
            agent: &self.agent,
            groups: self.groups.iter().map(String::as_str).collect(),
            scopes: self.scopes.iter().map(String::as_str).collect(),
            audience: self.audience.iter().map(String::as_str).collect(),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            server: &self.server,
            tool: &self.tool,
            arguments: &self.arguments,
        }
    }
}

impl Policy {
    /// The policy of that size; the same for the same size.
    pub fn new(size: Size) -> Self {
        let rng = &mut Rng::with_seed(0x0d00_12a2_d000_0001);
        let servers: Vec<Server> = (0..size.servers).map(|at| Server::new(at, size.tools, rng)).collect();
        let groups: Vec<String> = group_names(size.groups);
        let mut grants: Vec<Rule> = Vec::with_capacity(size.grants);
        for at in 0..size.grants {
            // Four in five for one tool, the rest for a server; a third of each asks nothing.
            let tool = (at % 5 != 0).then(|| rng.usize(..size.tools));
            let condition = match at % 3 {
                0 => Condition::None,
                1 => Condition::Max(rng.i64(1..20) * 50),
                _ => Condition::Prefix(format!("/srv/{}/", rng.choice(NOUNS).unwrap_or("x"))),
            };
            let chosen = 1 + at % 2;
            grants.push(Rule {
                groups: pick(&groups, chosen, rng),
                server: rng.usize(..servers.len()),
                tool,
                condition,
            });
        }
        let denies = (0..size.grants / 20)
            .map(|at| Rule {
                groups: pick(&groups, 1, rng),
                server: rng.usize(..servers.len()),
                tool: (at % 5 != 0).then(|| rng.usize(..size.tools)),
                condition: match at % 3 {
                    0 => Condition::None,
                    1 => Condition::Min(900),
                    _ => Condition::Prefix("/srv/document/board/".to_owned()),
                },
            })
            .collect();
        Self { servers, grants, denies }
    }

    /// The requests: 4,096, of which about 45 % are allowed.
    pub fn calls(&self, size: Size) -> Vec<Call> {
        let rng = &mut Rng::with_seed(0x0d00_12a2_d000_0002);
        let groups = group_names(size.groups);
        let subjects: Vec<(String, Vec<String>)> = (0..SUBJECTS.max(size.groups * 4))
            .map(|at| (format!("user-{at:04}@example.com"), pick(&groups, GROUPS_OF_A_SUBJECT, rng)))
            .collect();
        (0..CALLS).map(|_| self.call(&subjects, rng)).collect()
    }

    fn call(&self, subjects: &[(String, Vec<String>)], rng: &mut Rng) -> Call {
        // Mostly what someone may do, sometimes anything: traffic is not uniform over a policy.
        let wanted = (rng.u8(..100) < 57).then(|| &self.grants[rng.usize(..self.grants.len())]);
        let (server, tool) = match wanted {
            Some(grant) => (grant.server, grant.tool),
            None => (rng.usize(..self.servers.len()), None),
        };
        let tool = tool.unwrap_or_else(|| rng.usize(..self.servers[server].tools.len()));
        let mut who = rng.usize(..subjects.len());
        if let Some(grant) = wanted {
            for _ in 0..20 * subjects.len() {
                if grant.groups.iter().any(|g| subjects[who].1.contains(g)) {
                    break;
                }
                who = rng.usize(..subjects.len());
            }
        }
        let (subject, groups) = &subjects[who];
        let door = &self.servers[server];
        let declared = &door.tools[tool];

        let mut scopes: BTreeSet<String> = (0..rng.usize(2..5))
            .map(|_| {
                format!(
                    "{}:{}",
                    self.servers[rng.usize(..self.servers.len())].name,
                    ["all", "read", "get_ticket"][rng.usize(..3)]
                )
            })
            .collect();
        if rng.u8(..100) < 92 {
            scopes.insert(declared.scopes[rng.usize(..declared.scopes.len())].clone());
        }
        let mut scopes: Vec<String> = scopes.into_iter().collect();
        rng.shuffle(&mut scopes);

        let age = if rng.u8(..100) < 97 { rng.i64(0..110) } else { rng.i64(110..4_000) };
        let issued_at = NOW - age;
        let foreign = rng.u8(..100) < 2;
        let audience = if foreign { "https://elsewhere.example/mcp" } else { &door.resource };
        let mut arguments = Map::new();
        arguments.insert("query".to_owned(), json!("status:open assignee:me"));
        arguments.insert("limit".to_owned(), json!(25));
        if rng.u8(..100) < 95 {
            arguments.insert("amount".to_owned(), json!(rng.i64(1..1_000) / (1 + rng.i64(0..4))));
        }
        if rng.u8(..100) < 95 {
            // Half of the time the path that the grant asks for, so that prefixes matter both ways.
            let base = match wanted.map(|g| &g.condition) {
                Some(Condition::Prefix(prefix)) if rng.bool() => prefix.clone(),
                _ => format!("/srv/{}/", NOUNS[rng.usize(..NOUNS.len())]),
            };
            let deep = if rng.u8(..100) < 5 { "board/" } else { "2026/" };
            arguments.insert("path".to_owned(), json!(format!("{base}{deep}file-{:03}.txt", rng.u16(..1_000))));
        }
        arguments.insert("dry_run".to_owned(), json!(false));
        Call {
            issuer: ISSUERS[usize::from(rng.u8(..100) < 10)].to_owned(),
            subject: subject.clone(),
            agent: format!("assistant-{}", rng.u8(..8)),
            groups: groups.clone(),
            scopes,
            audience: vec![audience.to_owned()],
            issued_at,
            expires_at: issued_at + MAX_LIFETIME,
            server: door.name.clone(),
            tool: if rng.u8(..100) < 2 { format!("{}_v2", declared.name) } else { declared.name.clone() },
            arguments,
        }
    }

    /// Every tool with its server.
    pub fn tools(&self) -> impl Iterator<Item = (usize, &Server, usize, &Tool)> {
        self.servers
            .iter()
            .enumerate()
            .flat_map(|(s, server)| server.tools.iter().enumerate().map(move |(t, tool)| (s, server, t, tool)))
    }

    /// The policy as a `policies.toml`.
    pub fn to_toml(&self) -> String {
        let mut out = "version = 1\n\n[gateway]\nurl = \"https://mcp.example.com\"\n".to_owned();
        for issuer in ISSUERS {
            let _ = write!(
                out,
                "\n[issuers.{issuer}]\nurl = \"https://{issuer}.example.com\"\nmax_lifetime = \"1h\"\nclock_skew = \"30s\"\n"
            );
        }
        for server in &self.servers {
            let _ = write!(
                out,
                "\n[servers.{}]\nurl = \"http://127.0.0.1:9001/mcp\"\nissuers = {:?}\ntoken_ttl = \"{}s\"\n",
                server.name, server.issuers, server.token_ttl
            );
            for tool in &server.tools {
                let _ = writeln!(out, "[servers.{}.tools.{}]", server.name, tool.name);
                if let Some(ttl) = tool.token_ttl {
                    let _ = writeln!(out, "token_ttl = \"{ttl}s\"");
                }
            }
        }
        out.push_str("\n[scopes]\n");
        for server in &self.servers {
            let name = &server.name;
            let _ = writeln!(
                out,
                "\"{name}:all\" = [\"{name}:*\"]\n\"{name}:read\" = [\"{name}:get_*\", \"{name}:list_*\"]"
            );
        }
        for (table, key, name, rules) in
            [("grants", "allow", "grant", &self.grants), ("denies", "deny", "deny", &self.denies)]
        {
            for (at, rule) in rules.iter().enumerate() {
                let item = self.item(rule);
                let _ = write!(
                    out,
                    "\n[[{table}]]\nname = \"{name}-{at:05}\"\nto = {{ groups = {:?} }}\n{key} = [\"{item}\"]\n",
                    rule.groups
                );
                let matcher = match &rule.condition {
                    Condition::None => continue,
                    Condition::Max(n) => format!("amount = {{ max = {n} }}"),
                    Condition::Min(n) => format!("amount = {{ min = {n} }}"),
                    Condition::Prefix(p) => format!("path = {{ prefix = {p:?} }}"),
                };
                let _ = writeln!(out, "args = {{ \"{item}\" = {{ {matcher} }} }}");
            }
        }
        out
    }

    fn item(&self, rule: &Rule) -> String {
        let server = &self.servers[rule.server];
        let tool = rule.tool.map_or("*", |t| &server.tools[t].name);
        format!("{}:{tool}", server.name)
    }
}

impl Server {
    fn new(at: usize, tools: usize, rng: &mut Rng) -> Self {
        let name = format!("{}-{at:02}", ["tickets", "billing", "files", "crm", "calendar"][at % 5]);
        let kinds = VERBS.len() * NOUNS.len();
        let tools = (0..tools)
            .map(|t| {
                let verb = VERBS[t % kinds / NOUNS.len()];
                let again = if t < kinds { String::new() } else { format!("_{}", t / kinds) };
                let tool = format!("{verb}_{}{again}", NOUNS[t % NOUNS.len()]);
                let mut scopes = vec![format!("{name}:{tool}"), format!("{name}:all")];
                if matches!(verb, "get" | "list") {
                    scopes.push(format!("{name}:read"));
                }
                Tool { name: tool, token_ttl: (t % 10 == 9).then_some(120), scopes }
            })
            .collect();
        Self {
            resource: format!("https://mcp.example.com/{name}/mcp"),
            issuers: if rng.u8(..10) < 7 { ISSUERS.to_vec() } else { vec![ISSUERS[0]] },
            token_ttl: 900,
            tools,
            name,
        }
    }
}

/// The issuers, by name.
pub fn issuers() -> [&'static str; 2] {
    ISSUERS
}

fn group_names(count: usize) -> Vec<String> {
    let suffix = |at: usize| if at < TEAMS.len() { String::new() } else { format!("-{}", at / TEAMS.len()) };
    (0..count).map(|at| format!("{}{}", TEAMS[at % TEAMS.len()], suffix(at))).collect()
}

fn pick(names: &[String], count: usize, rng: &mut Rng) -> Vec<String> {
    rng.choose_multiple(names.iter(), count).into_iter().cloned().collect()
}
