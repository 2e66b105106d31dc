//! Loading never panics, never depends on the order of what it reads, and stays within bounds.

use doorward::diagnostics::Code;
use doorward::policy::{Layers, load};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../policies.toml");

fn one(text: impl Into<Vec<u8>>) -> Layers {
    Layers { files: vec![("policies.toml".to_owned(), text.into())], environment: Vec::new() }
}

/// The tables of a policy: each a header and its lines.
fn tables(text: &str) -> (String, Vec<String>) {
    let mut head = String::new();
    let mut tables: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            tables.push(String::new());
        }
        let table = tables.last_mut().unwrap_or(&mut head);
        table.push_str(line);
        table.push('\n');
    }
    (head, tables)
}

/// Words that policies are made of, and that break them.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "[[grants]]\n",
        "[[denies]]\n",
        "[servers.a]\n",
        "[servers.a.tools.b]\n",
        "[issuers.c]\n",
        "[scopes]\n",
        "[[tests]]\n",
        "[[invariants]]\n",
        "[rollout]\n",
        "[audit]\n",
        "[audit.retention]\n",
        "url = ",
        "allow = ",
        "deny = ",
        "to = ",
        "args = ",
        "never = ",
        "as = ",
        "token_ttl = ",
        "rate = ",
        "credential = ",
        "expires = ",
        "name = ",
        "scope = ",
        "callers = ",
        "identity = ",
        "uri = ",
        "\"a:b\"",
        "\"a:*\"",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "= ",
        "\n",
        "\"15m\"",
        "\"10/min\"",
        "1",
        "-1.5",
        "true",
        "2027-01-01",
        "inf",
        "\"\"",
        "\"\\u0000\"",
        "\"é\"",
        "amount = ",
        "max = ",
        "min = ",
        "each = ",
        "glob = ",
        "groups = ",
        "\"**\"",
        "version = 1\n",
        "\u{202e}",
        "'",
        "\"\"\"",
    ];
    prop_oneof![9 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_loading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(load(&one(bytes)).policy.is_none());
    }

    #[test]
    fn no_toml_makes_loading_panic(
        words in proptest::collection::vec(fragment(), 0..40),
        overlay in proptest::collection::vec(fragment(), 0..10),
        variable in ("[A-Z_]{0,20}", any::<String>()),
    ) {
        let loaded = load(&Layers {
            files: vec![
                ("a".to_owned(), format!("version = 1\n{}", words.concat()).into_bytes()),
                ("b".to_owned(), overlay.concat().into_bytes()),
            ],
            environment: vec![(format!("DOORWARD_{}", variable.0), variable.1)],
        });
        prop_assert_eq!(loaded.policy.is_some(), loaded.problems.is_empty());
    }

    #[test]
    fn a_damaged_policy_never_panics(at in 0..EXAMPLE.len(), with in fragment(), len in 0usize..40) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        let loaded = load(&one(bytes));
        for problem in &loaded.problems {
            let Some(label) = &problem.primary else { continue };
            let text = &loaded.sources.get(label.span.source).unwrap().text;
            prop_assert!(text.get(label.span.start as usize..label.span.end as usize).is_some(), "{:?}", problem);
        }
    }

    #[test]
    fn the_order_of_tables_and_the_comments_do_not_matter(seed in any::<u64>()) {
        let (head, mut list) = tables(EXAMPLE);
        // Tables of statements keep nothing of their order either.
        let mut state = seed | 1;
        for i in (1..list.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            list.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        let shuffled: String = list.iter().map(|table| format!("# {seed}\n\n{table}   \n")).collect();
        let (a, b) = (load(&one(EXAMPLE)), load(&one(format!("# first\n{head}{shuffled}"))));
        prop_assert_eq!(&b.problems, &[]);
        let (a, b) = (a.policy.unwrap(), b.policy.unwrap());
        prop_assert_eq!(a.compiled.set(), b.compiled.set());
        prop_assert_eq!(a.compiled.digest(), b.compiled.digest());
        for (statement, spans) in b.compiled.set().grants.iter().zip(&b.spans.grants) {
            let written: std::collections::BTreeSet<_> = spans.items.iter().map(|(pattern, _)| pattern.clone()).collect();
            prop_assert!(written.into_iter().eq(statement.items.iter().cloned()));
        }
        for (position, spans) in b.compiled.positions().grants.iter().zip(&b.spans.grants) {
            prop_assert_eq!(position, &loaded_position(&shuffled, &head, spans.head.start));
        }
    }
}

/// The line and column of a byte, counted the slow way.
fn loaded_position(shuffled: &str, head: &str, byte: u32) -> doorward::model::Position {
    let text = format!("# first\n{head}{shuffled}");
    let before = &text[..byte as usize];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    doorward::model::Position {
        file: "policies.toml".into(),
        line: u32::try_from(line).unwrap(),
        column: u32::try_from(column).unwrap(),
    }
}

/// The codes found in a text, on a stack as small as threads have.
fn codes(text: Vec<u8>) -> Vec<Code> {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let handle = thread.spawn(move || load(&one(text)).problems.iter().map(|p| p.code).collect::<Vec<_>>());
    handle.unwrap().join().unwrap()
}

#[test]
fn deep_nesting_is_a_clear_error() {
    let deep = |open: &str, close: &str| format!("version = 1\nx = {}1{}\n", open.repeat(10_000), close.repeat(10_000));
    assert_eq!(codes(deep("[", "]").into()), [Code::TooLarge]);
    assert_eq!(codes(deep("{ a = ", " }").into()), [Code::TooLarge]);
    assert_eq!(codes(deep("[", "").into()), [Code::TooLarge]);
    assert_eq!(codes(format!("{}a = 1\n", "a.".repeat(10_000)).into()), [Code::TooLarge]);
    assert_eq!(codes(format!("[{}a]\n", "a.".repeat(10_000)).into()), [Code::TooLarge]);
    assert_eq!(codes(format!("x = {{ {} }}\n", "a.b.c.d.e.f = { ".repeat(1_000)).into()), [Code::TooLarge]);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    assert_eq!(codes(vec![b'#'; (16 << 20) + 1]), [Code::TooLarge]);
    assert_eq!(codes(b"a=".repeat(3 << 20)), [Code::TooLarge]);
    assert_eq!(codes(b"[".repeat(16 << 20)), [Code::TooLarge]);
    // Of a large file only the first syntax error is reported.
    assert_eq!(codes(b"]\n".repeat(1 << 20)), [Code::TomlSyntax]);
    assert_eq!(codes(vec![0xff; 1 << 20]), [Code::NotUtf8]);
    assert_eq!(codes(b"]\n".repeat(1 << 10)).len(), 50);
}

#[test]
fn what_stands_twice_is_shown_beside_the_first_of_it() {
    for (text, again, first) in [
        ("version = 1\nversion = 1\n", "2:1", "1:1"),
        ("[servers.a]\n[servers.b]\n[servers.a]\n", "3:10", "1:10"),
        ("[[grants]]\n[grants]\n", "2:2", "1:3"),
        ("[grants]\n[[grants]]\n", "2:3", "1:2"),
        ("[scopes]\n\"a\" = [\"b\"]\n'a' = []\n", "3:1", "2:1"),
        ("x = { a = 1, \"a\" = 2 }\n", "1:14", "1:7"),
        ("[servers.a]\n[servers]\na.url = 1\n", "3:1", "1:10"),
    ] {
        let loaded = load(&one(text));
        let [problem] = loaded.problems.as_slice() else { panic!("{text}: {:?}", loaded.problems) };
        let labels = problem.primary.iter().chain(&problem.secondary);
        let places: Vec<_> = labels.map(|label| loaded.sources.position(label.span).to_string()).collect();
        assert_eq!(places, [again, first].map(|place| format!("policies.toml:{place}")), "{text}");
    }
}

#[test]
fn quotes_and_texts_as_other_programs_write_them_are_named() {
    let help = |bytes: &[u8]| load(&one(bytes)).problems.iter().filter_map(|p| p.help.clone()).collect::<String>();
    let utf16: Vec<u8> = "\u{feff}version = 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(help(&utf16).contains("UTF-16"), "{}", help(&utf16));
    assert!(!help(b"\xffversion = 1").contains("UTF-16"));
    let curly = "version = 1\n[[grants]]\nname = \u{201c}g\u{201d}\n";
    assert!(help(curly.as_bytes()).contains("straight quotes"), "{}", help(curly.as_bytes()));
}

#[test]
fn a_long_chain_of_bundles_is_opened_and_an_exploding_one_is_refused() {
    let server = "version = 1\n[servers.a]\nurl = \"http://h/\"\n[servers.a.tools.t]\n[servers.a.tools.u]\n[scopes]\n";
    let chain: String = (0..5_000).map(|i| format!("\"b{i}\" = [\"b{}\"]\n", i + 1)).collect();
    assert_eq!(codes(format!("{server}{chain}\"b5000\" = [\"a:t\"]\n").into()), []);
    let wide: String =
        (0..1_500).map(|i| format!("\"b{i}\" = [\"b{}\", \"a:t{}*\"]\n", i + 1, "*".repeat(i + 1))).collect();
    let found = codes(format!("{server}{wide}\"b1500\" = [\"a:t\"]\n").into());
    assert_eq!(found, [Code::TooLarge]);
}

#[test]
fn an_overlay_adds_statements_and_replaces_values() {
    let base = "version = 1\n[servers.a]\nurl = \"http://h/\"\ncredential = { vault = \"kv\", path = \"p\" }\n\
                [servers.a.tools.t]\ntoken_ttl = \"5m\"\nargs = { x = { max = 5 } }\n[[denies]]\nname = \"one\"\ndeny = [\"a:t\"]\n";
    let overlay = "[servers.a]\nurl = \"https://prod/\"\ncredential = { env = \"T\" }\n[servers.a.tools.t]\n\
                   [servers.a.tools.u]\n[[denies]]\nname = \"two\"\ndeny = [\"a:u\"]\n";
    let mut layers = one(base);
    layers.files.push(("policies.prod.toml".to_owned(), overlay.into()));
    layers.environment.push(("DOORWARD_SERVERS__A__URL".to_owned(), "https://moved/".to_owned()));
    let loaded = load(&layers);
    assert_eq!(loaded.problems, []);
    let policy = loaded.policy.unwrap();
    let set = serde_json::to_value(policy.compiled.set()).unwrap();
    assert_eq!(set["servers"]["a"]["upstream"]["url"], "https://moved/");
    assert_eq!(set["servers"]["a"]["credential"]["reference"], "env:T");
    assert_eq!(set["servers"]["a"]["tools"]["t"]["token_ttl"], 300);
    assert_eq!(set["servers"]["a"]["tools"]["t"]["args"]["x"]["tests"][0]["max"], 5);
    assert!(set["servers"]["a"]["tools"]["u"].is_object());
    let denies: Vec<String> = policy.compiled.positions().denies.iter().map(ToString::to_string).collect();
    assert_eq!(denies, ["policies.toml:9:8", "policies.prod.toml:7:8"]);
    assert_eq!(policy.compiled.positions().servers["a"].to_string(), "policies.toml:2:10");
}
