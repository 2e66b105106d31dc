//! How tables, lists and values are read, and what is said when they cannot be.

use super::References;
use super::shared::Shared;
use crate::diagnostics::{Code, Diagnostic, Span, did_you_mean};
use crate::policy::instant::INSTANT_HELP;
use crate::policy::name::quoted;
use crate::policy::source::{Kind, Node, Table};

/// How many suggestions are looked for before it costs more than it helps.
const MAX_SUGGESTIONS: u32 = 200;

/// A value with its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// The entries of one table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'n> {
    node: &'n Node<'n>,
    table: &'n Table<'n>,
}

impl<'n> Fields<'n> {
    pub(super) fn of(node: &'n Node<'n>, table: &'n Table<'n>) -> Self {
        Self { node, table }
    }

    /// The value of a key.
    pub(super) fn get(self, key: &str) -> Option<&'n Node<'n>> {
        let index = self.table.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.table.get(index).map(|(_, node)| node)
    }

    /// How many keys there are.
    pub(super) fn len(self) -> usize {
        self.table.len()
    }

    /// Every key with its value.
    pub(super) fn keys(self) -> impl Iterator<Item = (&'n str, &'n Node<'n>)> {
        self.table.iter().map(|(key, node)| (&**key, node))
    }

    /// Where the table stands: its header, or the whole of an inline table.
    pub(super) fn span(self) -> Span {
        self.node.span
    }
}

/// Collects problems and references while the tree is read.
#[derive(Debug)]
pub(super) struct Reader<'p> {
    problems: &'p mut Vec<Diagnostic>,
    suggestions: u32,
    pub(super) references: References,
    pub(super) shared: Shared,
    /// The key of Vault that signs the seals of the audit log, which signs nothing else.
    pub(super) audit_key: Option<String>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(problems: &'p mut Vec<Diagnostic>) -> Self {
        Self { problems, suggestions: 0, references: References::default(), shared: Shared::default(), audit_key: None }
    }

    pub(super) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Reports a value that the key does not take.
    pub(super) fn invalid(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Diagnostic::new(code, message).at(span, "").help(help));
    }

    pub(super) fn wrong_type(&mut self, node: &Node<'_>, key: &str, wanted: &str) {
        let shown = quoted(key);
        let help = match (wanted, &node.kind) {
            ("a string", Kind::Integer(n)) => {
                format!("put it in quotes, `\"{n}\"`, and a duration with its unit, `\"{n}s\"`")
            }
            ("a string", _) => format!("write one text in quotes: `{shown} = \"..\"`"),
            ("a list of tables", _) => format!("write each as `[[{shown}]]`"),
            ("a table", _) => format!("write it as `{{ .. }}` or under a header that ends in `{shown}`"),
            ("a boolean", _) => "write `true` or `false`, without quotes".to_owned(),
            ("a number" | "an integer", _) => "write the digits alone, without quotes".to_owned(),
            ("a date", _) => INSTANT_HELP.to_owned(),
            ("strings, numbers and booleans", Kind::Array(_)) => "write `one_of = [..]` for several values".to_owned(),
            ("strings, numbers and booleans", _) => format!("write one value: `{shown} = \"..\"`"),
            ("a list", _) => format!("put it in brackets: `{shown} = [..]`"),
            _ => format!("write texts in quotes: `{shown} = [\"..\", \"..\"]`"),
        };
        self.mistyped(node, key, wanted, help);
    }

    fn mistyped(&mut self, node: &Node<'_>, key: &str, wanted: &str, help: impl Into<String>) {
        let message = format!("`{}` takes {wanted}, not {}", quoted(key), node.kind.type_name());
        self.invalid(Code::WrongType, node.span, message, help);
    }

    /// Reports every key that is not known.
    pub(super) fn known(&mut self, fields: Fields<'_>, what: &str, known: &[&'static str]) {
        for (key, node) in fields.keys() {
            if known.contains(&key) {
                continue;
            }
            let help = match self.suggest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it takes {}", listed(known)),
            };
            let message = format!("{what} has no key `{}`", quoted(key));
            self.invalid(Code::UnknownKey, node.key_span, message, help);
        }
    }

    /// The nearest known word, as long as there are not too many to look for.
    pub(super) fn suggest<'k>(&mut self, word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        self.suggestions += 1;
        (self.suggestions <= MAX_SUGGESTIONS && word.len() <= 64).then(|| did_you_mean(word, known)).flatten()
    }

    /// A table with known keys.
    pub(super) fn table<'n>(
        &mut self,
        node: &'n Node<'n>,
        key: &str,
        what: &str,
        known: &[&'static str],
    ) -> Option<Fields<'n>> {
        let fields = self.open_table(node, key)?;
        self.known(fields, what, known);
        Some(fields)
    }

    /// A table whose keys are names.
    pub(super) fn open_table<'n>(&mut self, node: &'n Node<'n>, key: &str) -> Option<Fields<'n>> {
        match &node.kind {
            Kind::Table(table) => Some(Fields::of(node, table)),
            _ => {
                self.wrong_type(node, key, "a table");
                None
            }
        }
    }

    /// The entries of a table whose keys are names, if the table is there.
    pub(super) fn named<'n>(&mut self, fields: Fields<'n>, key: &str) -> Option<Fields<'n>> {
        fields.get(key).and_then(|node| self.open_table(node, key))
    }

    /// The elements of a list of tables, if it is there.
    pub(super) fn tables<'n>(
        &mut self,
        fields: Fields<'n>,
        key: &str,
        what: &str,
        known: &[&'static str],
    ) -> Vec<Fields<'n>> {
        let Some(node) = fields.get(key) else { return Vec::new() };
        let Kind::Array(list) = &node.kind else {
            self.wrong_type(node, key, "a list of tables");
            return Vec::new();
        };
        list.iter().filter_map(|item| self.table(item, key, what, known)).collect()
    }

    /// A key that must be there.
    pub(super) fn required<'n>(
        &mut self,
        fields: Fields<'n>,
        key: &str,
        what: &str,
        example: &str,
    ) -> Option<&'n Node<'n>> {
        let found = fields.get(key);
        if found.is_none() {
            let message = format!("{what} needs `{key}`");
            self.invalid(Code::MissingKey, fields.span(), message, format!("add `{key} = {example}`"));
        }
        found
    }

    /// A string.
    pub(super) fn string<'n>(&mut self, node: &'n Node<'n>, key: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::String(text) => Some(text),
            _ => {
                self.wrong_type(node, key, "a string");
                None
            }
        }
    }

    /// The string of a key, if it is there.
    pub(super) fn text<'n>(&mut self, fields: Fields<'n>, key: &str) -> Option<At<&'n str>> {
        let node = fields.get(key)?;
        self.string(node, key).map(|value| At { value, span: node.span })
    }

    /// The boolean of a key, if it is there.
    pub(super) fn boolean(&mut self, fields: Fields<'_>, key: &str) -> Option<At<bool>> {
        let node = fields.get(key)?;
        if let Kind::Boolean(value) = node.kind {
            return Some(At { value, span: node.span });
        }
        self.wrong_type(node, key, "a boolean");
        None
    }

    /// The count of a key, if it is there.
    pub(super) fn count<N: TryFrom<i128>>(&mut self, fields: Fields<'_>, key: &str) -> Option<N> {
        let node = fields.get(key)?;
        let Kind::Integer(number) = node.kind else {
            self.wrong_type(node, key, "an integer");
            return None;
        };
        let count = N::try_from(number).ok();
        if count.is_none() {
            let message = format!("`{key}` cannot be {number}");
            self.invalid(Code::InvalidValue, node.span, message, "write 0 or a larger whole number");
        }
        count
    }

    /// A string or a list of strings.
    pub(super) fn strings<'n>(&mut self, fields: Fields<'n>, key: &str) -> Option<Vec<At<&'n str>>> {
        fields.get(key).map(|node| self.string_list(node, key))
    }

    /// A string or a list of strings.
    pub(super) fn string_list<'n>(&mut self, node: &'n Node<'n>, key: &str) -> Vec<At<&'n str>> {
        match &node.kind {
            Kind::String(text) => vec![At { value: text, span: node.span }],
            Kind::Array(list) => list
                .iter()
                .filter_map(|item| self.string(item, key).map(|value| At { value, span: item.span }))
                .collect(),
            _ => {
                self.wrong_type(node, key, "a string or a list of strings");
                Vec::new()
            }
        }
    }

    /// The string of a key, read by `parse`.
    pub(super) fn parsed<T>(
        &mut self,
        fields: Fields<'_>,
        key: &str,
        help: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<At<T>> {
        let node = fields.get(key)?;
        let Kind::String(text) = &node.kind else {
            self.mistyped(node, key, "a string", help);
            return None;
        };
        let value = parse(text);
        if value.is_none() {
            let message = format!("`{}` cannot be `{}`", quoted(key), quoted(text));
            self.invalid(Code::InvalidValue, node.span, message, help);
        }
        value.map(|value| At { value, span: node.span })
    }
}

/// The words of a string, each with its own place where the string has no escapes.
pub(super) fn words<'n>(at: &At<&'n str>) -> Vec<At<&'n str>> {
    let plain = u32::try_from(at.value.len()).is_ok_and(|len| at.span.end.saturating_sub(at.span.start) == len + 2);
    let mut start = at.span.start + 1;
    let mut found = Vec::new();
    for word in at.value.split(' ') {
        let end = start.saturating_add(u32::try_from(word.len()).unwrap_or(u32::MAX));
        if !word.is_empty() {
            found.push(At { value: word, span: if plain { Span { start, end, ..at.span } } else { at.span } });
        }
        start = end.saturating_add(1);
    }
    found
}

/// Words as a list in a sentence.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The strings without their places.
pub(super) fn owned(list: &[At<&str>]) -> Vec<String> {
    list.iter().map(|item| item.value.to_owned()).collect()
}
