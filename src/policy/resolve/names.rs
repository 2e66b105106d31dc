//! Whether what is referred to is declared, and declared once.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostics::{Code, Diagnostic, Span, did_you_mean};
use crate::policy::document::{At, DeclaredIssuer, DeclaredServer, DeclaredStatement, Document, Mentions};
use crate::policy::glob::NameGlob;
use crate::policy::lookup::Lookup;
use crate::policy::name::quoted;
use crate::policy::set::{ItemPattern, item_name};

/// How many suggestions are looked for before it costs more than it helps.
const MAX_SUGGESTIONS: u32 = 200;
/// How many letters of a word are worth a suggestion.
const MAX_WORD: usize = 128;

/// Everything that can be referred to. What is offered as a suggestion is kept in order, so that of
/// two equally near names the same one is always offered.
pub(super) struct Index<'d> {
    issuers: BTreeMap<&'d str, Option<&'d [String]>>,
    claims: BTreeMap<&'d str, BTreeSet<&'d str>>,
    servers: Vec<DeclaredNames<'d>>,
    /// The places of the servers in their list.
    server_places: Lookup<&'d str, usize>,
    bundles: BTreeSet<&'d str>,
    /// Empty when nothing refers to one.
    scopes: BTreeSet<&'d str>,
    classes: BTreeSet<&'d str>,
}

struct DeclaredNames<'d> {
    name: &'d str,
    /// Sorted.
    items: Vec<Cow<'d, str>>,
    span: Span,
    has_identity: bool,
}

impl DeclaredNames<'_> {
    fn has(&self, item: &str) -> bool {
        self.items.binary_search_by(|own| (**own).cmp(item)).is_ok()
    }
}

impl<'d> Index<'d> {
    pub(super) fn of(document: &'d Document) -> Self {
        let claims = |issuer: &'d DeclaredIssuer| issuer.issuer.claims.others.keys().map(String::as_str).collect();
        let servers: Vec<DeclaredNames<'d>> = document.servers.iter().map(declared_names).collect();
        let scopes = document.servers.iter().flat_map(|s| &s.items).flat_map(|i| &i.item.scopes).map(String::as_str);
        let referred = !document.references.scopes.is_empty();
        Self {
            issuers: document.issuers.iter().map(|i| (i.name.value.as_str(), i.groups.as_deref())).collect(),
            claims: document.issuers.iter().map(|i| (i.name.value.as_str(), claims(i))).collect(),
            server_places: servers.iter().zip(0..).map(|(server, place)| (server.name, place)).collect(),
            servers,
            bundles: document.scopes.iter().map(|(name, _)| name.value.as_str()).collect(),
            scopes: scopes.filter(|_| referred).collect(),
            classes: document.audit.retention.keys().map(String::as_str).collect(),
        }
    }

    pub(super) fn has_bundle(&self, name: &str) -> bool {
        self.bundles.contains(name)
    }

    fn server(&self, name: &str) -> Option<&DeclaredNames<'d>> {
        self.servers.get(*self.server_places.get(name)?)
    }

    fn matching(&self, server: &NameGlob) -> impl Iterator<Item = &DeclaredNames<'d>> {
        let (one, several) = match server.literal() {
            Some(name) => (self.server(name), &[][..]),
            None => (None, self.servers.as_slice()),
        };
        one.into_iter().chain(several.iter().filter(|found| server.matches(found.name)))
    }
}

fn declared_names(server: &DeclaredServer) -> DeclaredNames<'_> {
    let mut items: Vec<_> = server.items.iter().map(|i| item_name(i.kind, &i.name.value)).collect();
    items.sort_unstable();
    DeclaredNames { name: &server.name.value, items, span: server.name.span, has_identity: server.identity.is_some() }
}

/// What a pattern covers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    Something,
    NoServer,
    NoItem,
}

/// Follows references and reports those that lead nowhere.
pub(super) struct Check<'i, 'p> {
    index: &'i Index<'i>,
    problems: &'p mut Vec<Diagnostic>,
    suggestions: u32,
    /// Answers for patterns with a wildcard over servers.
    seen: BTreeMap<ItemPattern, Cover>,
}

impl<'i, 'p> Check<'i, 'p> {
    pub(super) fn new(index: &'i Index<'i>, problems: &'p mut Vec<Diagnostic>) -> Self {
        Self { index, problems, suggestions: 0, seen: BTreeMap::new() }
    }

    pub(super) fn index(&self) -> &'i Index<'i> {
        self.index
    }

    pub(super) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    pub(super) fn everything(&mut self, document: &Document) {
        let references = &document.references;
        for at in &references.issuers {
            self.issuer(at);
        }
        for at in &references.callers {
            self.caller(at);
        }
        for at in &references.classes {
            self.class(at);
        }
        for mentions in &references.mentions {
            self.mentions(mentions);
        }
        for at in &references.scopes {
            self.scope(at);
        }
        for (pattern, span) in &references.patterns {
            self.pattern(pattern, *span);
        }
        for statement in document.grants.iter().chain(&document.denies) {
            self.statement(statement);
        }
        self.declared_once(document);
    }

    /// The nearest known word, as long as there are not too many to look for.
    fn suggest<'k>(&mut self, word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        self.suggestions += 1;
        let worth = self.suggestions <= MAX_SUGGESTIONS && word.len() <= MAX_WORD;
        worth.then(|| did_you_mean(word, known)).flatten()
    }

    fn unknown<'k>(
        &mut self,
        code: Code,
        what: &str,
        at: (&str, Span),
        known: impl IntoIterator<Item = &'k str>,
        otherwise: &str,
    ) {
        let near = self.suggest(at.0, known);
        let help = near.map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{}`?", quoted(near)));
        self.report(Diagnostic::new(code, format!("{what} `{}`", quoted(at.0))).at(at.1, "").help(help));
    }

    fn issuer(&mut self, at: &At<String>) {
        let index = self.index;
        if !index.issuers.contains_key(at.value.as_str()) {
            let help = "declare it as `[issuers.NAME]`, or correct the name";
            let known = index.issuers.keys().copied();
            self.unknown(Code::UnknownIssuer, "there is no issuer", (&at.value, at.span), known, help);
        }
    }

    fn server(&mut self, name: &str, span: Span) {
        let index = self.index;
        let help = "declare it as `[servers.NAME]`, or correct the name";
        let known = index.servers.iter().map(|server| server.name);
        self.unknown(Code::UnknownServer, "there is no server", (name, span), known, help);
    }

    fn caller(&mut self, at: &At<String>) {
        match self.index.server(&at.value) {
            None => self.server(&at.value, at.span),
            Some(found) if !found.has_identity => {
                let message = format!("the server `{}` has no identity to call with", quoted(&at.value));
                let problem = Diagnostic::new(Code::CallerWithoutIdentity, message)
                    .at(at.span, "")
                    .also(found.span, "declared here")
                    .help("add `identity = { issuer = \"..\", subject = \"..\" }` to the calling server");
                self.report(problem);
            }
            Some(_) => {}
        }
    }

    fn class(&mut self, at: &At<String>) {
        let index = self.index;
        if !index.classes.contains(at.value.as_str()) {
            let help = format!("add `{} = \"90d\"` to `[audit.retention]`", quoted(&at.value));
            self.unknown(
                Code::UnknownAuditClass,
                "no retention for audit class",
                (&at.value, at.span),
                index.classes.iter().copied(),
                &help,
            );
        }
    }

    fn mentions(&mut self, mentions: &Mentions) {
        let index = self.index;
        for at in &mentions.issuers {
            self.issuer(at);
        }
        for at in &mentions.servers {
            self.caller(at);
        }
        let asked = |name: &str| mentions.issuers.is_empty() || mentions.issuers.iter().any(|at| at.value == name);
        // An issuer without a list may have any group.
        let lists: Option<Vec<&[String]>> =
            index.issuers.iter().filter(|(name, _)| asked(name)).map(|(_, groups)| *groups).collect();
        if let Some(lists) = lists.filter(|lists| !lists.is_empty()) {
            for at in &mentions.groups {
                if !lists.iter().any(|list| list.iter().any(|group| at.value.matches(group))) {
                    let word = at.value.literal().unwrap_or(at.value.as_str()).to_owned();
                    let help = "add it to `groups` of its issuer";
                    self.unknown(
                        Code::UnknownGroup,
                        "no issuer lists a group",
                        (&word, at.span),
                        lists.iter().copied().flatten().map(String::as_str),
                        help,
                    );
                }
            }
        }
        if mentions.claims.is_empty() {
            return;
        }
        let claims: Vec<&BTreeSet<&str>> =
            index.claims.iter().filter(|(name, _)| asked(name)).map(|(_, c)| c).collect();
        for at in &mentions.claims {
            if claims.iter().any(|known| known.contains(at.value.as_str())) || claims.is_empty() {
                continue;
            }
            let help = match at.value.as_str() {
                "groups" | "group" => "groups are asked for with `groups = [..]`",
                "agent" | "client_id" => "agents are asked for with `agents = [..]`",
                _ => "map it in `claims` of its issuer",
            };
            self.unknown(
                Code::UnknownClaim,
                "no issuer maps a claim",
                (&at.value, at.span),
                claims.iter().copied().flatten().copied(),
                help,
            );
        }
    }

    fn scope(&mut self, at: &At<String>) {
        let index = self.index;
        if !index.scopes.contains(at.value.as_str()) && !index.has_bundle(&at.value) {
            let known = index.bundles.iter().chain(&index.scopes).copied();
            let help = "a scope is one of a tool, prompt or resource, or a bundle in `[scopes]`";
            self.unknown(Code::UnknownScope, "nothing is carried by scope", (&at.value, at.span), known, help);
        }
    }

    /// An entry of a bundle that is neither a bundle nor an item pattern.
    pub(super) fn unknown_bundle(&mut self, at: &At<String>) {
        let index = self.index;
        let help = "name another bundle, or items as `server:tool` or `server:*`";
        self.unknown(
            Code::UnknownScope,
            "there is no bundle",
            (&at.value, at.span),
            index.bundles.iter().copied(),
            help,
        );
    }

    /// Reports a pattern that covers nothing that is declared.
    pub(super) fn pattern(&mut self, pattern: &ItemPattern, span: Span) {
        let index = self.index;
        match self.cover(pattern) {
            Cover::Something => {}
            Cover::NoServer => match pattern.server.literal() {
                Some(name) => self.server(name, span),
                None => {
                    let message = format!("no server is named like `{}`", quoted(pattern.server.as_str()));
                    self.report(
                        Diagnostic::new(Code::UnknownServer, message)
                            .at(span, "")
                            .help("declare it as `[servers.NAME]`, or correct the name"),
                    );
                }
            },
            Cover::NoItem => {
                let found: Vec<_> = index.matching(&pattern.server).take(2).collect();
                let message = format!("`{}` covers nothing that is declared", quoted(&pattern.to_string()));
                let mut problem = Diagnostic::new(Code::UnknownItem, message).at(span, "");
                let mut help =
                    "declare it as `[servers.NAME.tools.NAME]`, or `prompts` or `resources`, or correct the name"
                        .to_owned();
                if let [names] = found.as_slice() {
                    problem = problem.also(names.span, "the server");
                    let word = pattern.item.literal().unwrap_or(pattern.item.as_str()).to_owned();
                    let near = self.suggest(&word, names.items.iter().map(|item| &**item)).or_else(|| {
                        names
                            .items
                            .iter()
                            .map(|item| &**item)
                            .find(|item| item.split_once(':').is_some_and(|(_, name)| name == word))
                    });
                    help = near.map_or(help, |near| format!("did you mean `{}:{}`?", names.name, quoted(near)));
                }
                self.report(problem.help(help));
            }
        }
    }

    fn cover(&mut self, pattern: &ItemPattern) -> Cover {
        if pattern.server.literal().is_some() {
            return Self::look(self.index, pattern);
        }
        if let Some(cover) = self.seen.get(pattern) {
            return *cover;
        }
        let cover = Self::look(self.index, pattern);
        self.seen.insert(pattern.clone(), cover);
        cover
    }

    fn look(index: &Index, pattern: &ItemPattern) -> Cover {
        let mut cover = Cover::NoServer;
        for names in index.matching(&pattern.server) {
            cover = Cover::NoItem;
            // The server itself counts: its name is empty.
            let found = match pattern.item.literal() {
                Some(item) => names.has(item),
                None => pattern.item.matches("") || names.items.iter().any(|item| pattern.item.matches(item)),
            };
            if found {
                return Cover::Something;
            }
        }
        cover
    }

    fn statement(&mut self, declared: &DeclaredStatement) {
        for (pattern, span) in &declared.spans.items {
            self.pattern(pattern, *span);
        }
        for (pattern, span) in &declared.args {
            let before = self.problems.len();
            self.pattern(pattern, *span);
            let statement = &declared.statement;
            if self.problems.len() > before || statement.items.is_empty() || statement.items.contains(pattern) {
                continue;
            }
            let met = self.index.matching(&pattern.server).any(|names| match pattern.item.literal() {
                Some(item) => statement.covers(names.name, item),
                None => names.items.iter().any(|item| pattern.item.matches(item) && statement.covers(names.name, item)),
            });
            if !met {
                let message = format!("`{}` covers nothing that the statement is about", quoted(&pattern.to_string()));
                let mut problem = Diagnostic::new(Code::UnusedArgs, message).at(*span, "");
                if let Some((_, items)) = declared.spans.items.first() {
                    problem = problem.also(*items, "what it is about begins here");
                }
                self.report(problem.help("name an item of the statement, or add this one to it"));
            }
        }
    }

    fn declared_once(&mut self, document: &Document) {
        for (what, list) in [("grants have the name", &document.grants), ("denies have the name", &document.denies)] {
            let named = list.iter().filter_map(|s| Some((s.statement.name.as_deref()?.into(), s.spans.head)));
            self.once(what, named, "give each its own name");
        }
        let invariants = document.invariants.iter().map(|i| (i.name.as_str().into(), i.span));
        self.once("invariants have the name", invariants, "give each its own name");
        let tests = document.tests.iter().map(|t| (t.test.name.as_str().into(), t.test.span));
        self.once("tests have the name", tests, "give each its own name");
        let issuers = document.issuers.iter().map(|i| (i.issuer.url.as_str().into(), i.url));
        self.once("issuers have the URL", issuers, "a token could be either's: declare the issuer once");
        let doors = document.servers.iter().map(|s| (s.server.resource.as_str().into(), s.resource));
        self.once(
            "servers have the identifier",
            doors,
            "a token for one door must not open another: give each its own `resource`",
        );
        let identities = document.servers.iter().filter_map(|s| {
            let identity = s.server.identity.as_ref()?;
            Some((format!("{} {}", identity.issuer, identity.subject).into(), s.identity?))
        });
        self.once("servers have the identity", identities, "give each server its own subject");
    }

    fn once<'d>(&mut self, what: &str, named: impl Iterator<Item = (Cow<'d, str>, Span)>, help: &str) {
        let mut seen: Lookup<Cow<'d, str>, Span> = Lookup::default();
        // What is empty is missing, and has been reported as such.
        for (name, span) in named.filter(|(name, _)| !name.is_empty()) {
            match seen.entry(name) {
                Entry::Occupied(first) => {
                    let problem = Diagnostic::new(Code::DuplicateName, format!("two {what} `{}`", quoted(first.key())))
                        .at(span, "")
                        .also(*first.get(), "the first one")
                        .help(help);
                    self.report(problem);
                }
                Entry::Vacant(first) => {
                    first.insert(span);
                }
            }
        }
    }
}
