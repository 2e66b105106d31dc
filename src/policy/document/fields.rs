//! How tables, lists and values are read, and what is said when they cannot be.

use super::References;
use crate::diagnostics::{Code, Diagnostic, Span, did_you_mean};
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
    node: &'n Node,
    table: &'n Table,
}

impl<'n> Fields<'n> {
    pub(super) fn of(node: &'n Node, table: &'n Table) -> Self {
        Self { node, table }
    }

    /// The value of a key.
    pub(super) fn get(self, key: &str) -> Option<&'n Node> {
        let index = self.table.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.table.get(index).map(|(_, node)| node)
    }

    /// Every key with its value.
    pub(super) fn keys(self) -> impl Iterator<Item = (&'n str, &'n Node)> {
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
}

impl<'p> Reader<'p> {
    pub(super) fn new(problems: &'p mut Vec<Diagnostic>) -> Self {
        Self { problems, suggestions: 0, references: References::default() }
    }

    pub(super) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Reports a value that the key does not take.
    pub(super) fn invalid(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.report(Diagnostic::new(code, message).at(span, "").help(help));
    }

    pub(super) fn wrong_type(&mut self, node: &Node, key: &str, wanted: &str) {
        let message = format!("`{}` takes {wanted}, not {}", quoted(key), node.kind.type_name());
        let problem = Diagnostic::new(Code::WrongType, message).at(node.span, "");
        let help = match (&node.kind, wanted) {
            (Kind::Integer(n), "a string") => format!("put it in quotes: `\"{n}\"`"),
            (Kind::Table(_), "a list of tables") => format!("write each as `[[{}]]`", quoted(key)),
            _ => format!("see `{}` in the reference of the policy language", quoted(key)),
        };
        self.report(problem.help(help));
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
        node: &'n Node,
        key: &str,
        what: &str,
        known: &[&'static str],
    ) -> Option<Fields<'n>> {
        let fields = self.open_table(node, key)?;
        self.known(fields, what, known);
        Some(fields)
    }

    /// A table whose keys are names.
    pub(super) fn open_table<'n>(&mut self, node: &'n Node, key: &str) -> Option<Fields<'n>> {
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
    ) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            let message = format!("{what} needs `{key}`");
            self.invalid(Code::MissingKey, fields.span(), message, format!("add `{key} = {example}`"));
        }
        found
    }

    /// A string.
    pub(super) fn string<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n str> {
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
    pub(super) fn string_list<'n>(&mut self, node: &'n Node, key: &str) -> Vec<At<&'n str>> {
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
        let text = self.text(fields, key)?;
        let value = parse(text.value);
        if value.is_none() {
            let message = format!("`{key}` cannot be `{}`", quoted(text.value));
            self.invalid(Code::InvalidValue, text.span, message, help);
        }
        value.map(|value| At { value, span: text.span })
    }
}

/// Words as a list in a sentence.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The strings without their places.
pub(super) fn owned(list: &[At<&str>]) -> Vec<String> {
    list.iter().map(|item| item.value.to_owned()).collect()
}
