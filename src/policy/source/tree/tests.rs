//! The tree against the one that the `toml` crate builds.

use proptest::prelude::*;
use proptest::sample::select;
use toml::de::{DeTable, DeValue};

use super::*;

/// The same tree by the other way: from what the `toml` crate builds.
fn expected(range: std::ops::Range<usize>, key: std::ops::Range<usize>, value: DeValue<'_>) -> Node<'_> {
    let at =
        |range: std::ops::Range<usize>| Span { start: offset(range.start), end: offset(range.end), ..Span::default() };
    let kind = match value {
        DeValue::String(text) => Kind::String(text),
        DeValue::Boolean(value) => Kind::Boolean(value),
        DeValue::Integer(number) => Kind::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(0)),
        DeValue::Float(number) => Kind::Float(number.as_str().parse().unwrap()),
        DeValue::Datetime(date) => Kind::Datetime(date.to_string().into()),
        DeValue::Array(list) => {
            Kind::Array(list.into_iter().map(|item| expected(item.span(), item.span(), item.into_inner())).collect())
        }
        DeValue::Table(table) => Kind::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    let node = expected(value.span(), key.span(), value.into_inner());
                    (key.into_inner(), node)
                })
                .collect(),
        ),
    };
    Node { span: at(range), key_span: at(key), kind }
}

fn key() -> impl Strategy<Value = String> {
    let word = select(&["a", "b", "c", "\"a\"", "'b'", "\"\"", "\"\\u0061\""][..]);
    prop::collection::vec(word, 1..4).prop_map(|words| words.join("."))
}

fn value() -> impl Strategy<Value = String> {
    let scalar = select(
        &[
            "1",
            "-0x1f",
            "0xff",
            "1_000",
            "99999999999999999999999999999999999999999",
            "1.5",
            "nan",
            "true",
            "'x'",
            "\"a\\nb\"",
            "\"\\q\"",
            "'''\nm'''",
            "1979-05-27",
            "1979-13-27",
            "07:32:00",
            "1979-05-27T07:32:00Z",
            "x",
            "",
        ][..],
    );
    scalar.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        let pairs = prop::collection::vec((key(), inner.clone()), 0..4).prop_map(|pairs| {
            let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
            format!("{{ {} }}", pairs.join(", "))
        });
        let list = prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![pairs, list]
    })
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| format!("{key} = {value}")),
        4 => key().prop_map(|key| format!("[{key}]")),
        3 => key().prop_map(|key| format!("[[{key}]] # more")),
        1 => select(&["", "# é", "#\u{1}", "=", "a", "[a", "a = [1,", "]", "a = {", "}", "\r", "[[a]", "[]", "."][..])
            .prop_map(str::to_owned),
    ]
}

/// Both ways to the tree, as text.
fn both(text: &str) -> (String, String) {
    let tokens = Source::new(text).lex().into_vec();
    let built = document(text, &tokens, SourceId::default()).ok().map(|built| Kind::Table(built.value));
    let other = DeTable::parse(text).ok().map(|root| expected(0..0, 0..0, DeValue::Table(root.into_inner())).kind);
    (format!("{built:?}"), format!("{other:?}"))
}

#[test]
fn dotted_keys_may_lead_through_a_list_of_tables_and_not_end_in_it() {
    for text in
        ["[[a.b]]\n[a]\nb.c.d = 1\n", "[[a.b]]\n[a]\nb.c = 1\n", "[[a.b]]\n[[a.b]]\n[a]\nb.c.d = 1\nb.c.e = 2\n"]
    {
        let (built, other) = both(text);
        assert_eq!(built, other, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_is_read_as_the_toml_crate_reads_it(lines in prop::collection::vec(line(), 0..9)) {
        let text = lines.join("\n");
        let (built, other) = both(&text);
        prop_assert_eq!(built, other, "{}", text);
    }

    #[test]
    fn a_value_is_read_as_the_toml_crate_reads_it(text in value()) {
        let tokens = Source::new(&text).lex().into_vec();
        let built = super::value(&text, &tokens, SourceId::default(), 0).map(|built| built.value);
        let other = DeValue::parse(&text).ok().map(|value| expected(value.span(), value.span(), value.into_inner()));
        prop_assert_eq!(format!("{built:?}"), format!("{other:?}"), "{}", text);
    }
}
