//! The layers of a policy, merged by figment, with every place kept.
//!
//! figment sees no values: each leaf is the number of a node in an arena, so a merged value still
//! knows which layer it came from, to the character, and a long policy costs little. Tables merge
//! key by key, a higher layer replaces values, and statements of a higher layer come on top of
//! those below: an overlay never silently drops a deny.

use figment::value::{Dict, Map, Num, Tag, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::source::{Kind, Node, Table};
use crate::diagnostics::Span;

/// The lists to which a higher layer adds.
pub(super) const STATEMENTS: [&str; 4] = ["grants", "denies", "invariants", "tests"];

/// Tables of a server that mean something only as a whole.
const WHOLE: [&str; 2] = ["credential", "identity"];

/// Before every key, so that no key of a file is taken for [`SHELL`].
const KEY: char = '.';

/// The entry of a table that holds the table's own place.
const SHELL: &str = "";

/// Merges trees, lowest first.
pub(super) fn merge(layers: Vec<Node<'_>>) -> Node<'_> {
    // Over nothing, a layer is what comes out: most policies are one file, and are not taken apart.
    match <[Node<'_>; 1]>::try_from(layers) {
        Ok([only]) => only,
        Err(layers) => overlay(layers),
    }
}

/// Lays each tree over those before it.
fn overlay(layers: Vec<Node<'_>>) -> Node<'_> {
    let mut arena = Arena::default();
    let mut figment = Figment::new();
    let mut root = Span::default();
    for (index, layer) in layers.into_iter().enumerate() {
        if index == 0 {
            root = layer.span;
        }
        let Kind::Table(table) = layer.kind else { continue };
        figment = figment.admerge(Layer(arena.root(table)));
    }
    let merged = figment.data().ok().and_then(|mut profiles| profiles.remove(&Profile::Default)).unwrap_or_default();
    let mut node = arena.table(merged);
    node.span = root;
    node.key_span = root;
    node
}

struct Layer(Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("policy layer")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}

/// The nodes that figment sees as numbers.
#[derive(Default)]
struct Arena<'t>(Vec<Slot<'t>>);

enum Slot<'t> {
    /// A value.
    Whole(Node<'t>),
    /// A table or list without what is in it.
    Shell(Node<'t>),
    Taken,
}

impl<'t> Arena<'t> {
    fn add(&mut self, slot: Slot<'t>) -> Value {
        self.0.push(slot);
        Value::Num(Tag::Default, Num::USize(self.0.len() - 1))
    }

    fn root(&mut self, table: Table<'t>) -> Dict {
        table
            .into_iter()
            .map(|(key, node)| {
                let statements = STATEMENTS.contains(&&*key);
                let value = match node {
                    Node { span, key_span, kind: Kind::Array(list) } if statements => {
                        let shell = self.add(Slot::Shell(Node { span, key_span, kind: Kind::Array(Vec::new()) }));
                        let items = list.into_iter().map(|item| self.add(Slot::Whole(item)));
                        Value::Array(Tag::Default, std::iter::once(shell).chain(items).collect())
                    }
                    node => self.value(node, 0, *key == *"servers"),
                };
                (format!("{KEY}{key}"), value)
            })
            .collect()
    }

    fn value(&mut self, node: Node<'t>, depth: u32, servers: bool) -> Value {
        let Node { span, key_span, kind: Kind::Table(table) } = node else { return self.add(Slot::Whole(node)) };
        let shell = self.add(Slot::Shell(Node { span, key_span, kind: Kind::Table(Table::new()) }));
        let mut dict: Dict = table
            .into_iter()
            .map(|(key, node)| {
                let whole = servers && depth == 1 && WHOLE.contains(&&*key);
                let value = if whole { self.add(Slot::Whole(node)) } else { self.value(node, depth + 1, servers) };
                (format!("{KEY}{key}"), value)
            })
            .collect();
        // A list, so that merging keeps all and the lowest layer stays first.
        dict.insert(SHELL.to_owned(), Value::Array(Tag::Default, vec![shell]));
        Value::Dict(Tag::Default, dict)
    }

    fn take(&mut self, value: &Value) -> Option<Slot<'t>> {
        let index = usize::try_from(value.to_u128()?).ok()?;
        self.0.get_mut(index).map(|slot| std::mem::replace(slot, Slot::Taken))
    }

    fn node(&mut self, value: Value) -> Option<Node<'t>> {
        match value {
            Value::Dict(_, dict) => Some(self.table(dict)),
            Value::Array(_, list) => self.list(&list),
            leaf => match self.take(&leaf)? {
                Slot::Whole(node) | Slot::Shell(node) => Some(node),
                Slot::Taken => None,
            },
        }
    }

    fn list(&mut self, values: &[Value]) -> Option<Node<'t>> {
        let mut shell: Option<Node<'t>> = None;
        let mut items = Vec::with_capacity(values.len());
        for value in values {
            match self.take(value)? {
                Slot::Whole(node) => items.push(node),
                Slot::Shell(node) => shell = shell.or(Some(node)),
                Slot::Taken => {}
            }
        }
        shell.map(|shell| Node { kind: Kind::Array(items), ..shell })
    }

    fn table(&mut self, mut dict: Dict) -> Node<'t> {
        let shell = dict.remove(SHELL).and_then(|shells| {
            let Value::Array(_, shells) = shells else { return None };
            shells.first().and_then(|first| self.take(first))
        });
        let table: Table<'t> = dict
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(KEY)?.to_owned().into(), self.node(value)?)))
            .collect();
        // A table that only the environment speaks of has no header: its place is its first value's.
        let here = table.first().map_or(Span::default(), |(_, node)| node.span);
        let (span, key_span) = match shell {
            Some(Slot::Shell(node) | Slot::Whole(node)) => (node.span, node.key_span),
            _ => (here, here),
        };
        Node { span, key_span, kind: Kind::Table(table) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostics::Sources;
    use crate::policy::source;

    /// A table of a policy, its keys those that are merged in their own way and some that are not.
    fn table() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            "[a-z]{0,3}".prop_map(|text| format!("{text:?}")),
            any::<i8>().prop_map(|number| number.to_string()),
            Just("[1, [], { x = 1 }]".to_owned()),
            Just("{}".to_owned()),
            Just("{ \"\" = {}, \".\" = [] }".to_owned()),
        ];
        let key = proptest::sample::select(&["\"\"", "\".\"", "a", "servers", "identity", "credential", "grants"][..]);
        let leaf = prop::collection::btree_map(key.clone(), value, 0..4);
        leaf.prop_recursive(3, 12, 3, move |inner| {
            prop::collection::btree_map(key.clone(), inner.prop_map(|entries| inline(&entries)), 0..4)
        })
        .prop_map(|entries| entries.iter().map(|(key, value)| format!("{key} = {value}\n")).collect())
    }

    fn inline(entries: &std::collections::BTreeMap<&'static str, String>) -> String {
        let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", entries.join(", "))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_single_layer_is_what_figment_would_make_of_it(
            text in table(),
            statements in prop::sample::select(&["", "[[grants]]\nname = 'a'\n[[grants]]\n", "[servers.a.identity]\nx = 1\n"][..]),
        ) {
            let text = format!("{text}[more]\n{statements}");
            let (mut sources, mut problems) = (Sources::default(), Vec::new());
            let tree = source::read("p.toml", text.as_bytes(), &mut sources, &mut problems);
            // A key that both parts have is a syntax error.
            let Some(tree) = tree else { return Ok(()) };
            let merged = overlay(vec![tree.clone()]);
            prop_assert_eq!(format!("{merged:?}"), format!("{:?}", merge(vec![tree])), "{}", text);
        }
    }
}
