//! A recording reads back as it was written, and nothing in one makes the reader fail in silence.

use doorward::diagnostics::Sources;
use doorward::model::{Action, Effect, Reason, ResourceKind, RuleKind, Timestamp, Withheld, WithheldBecause};
use doorward::traffic::{
    Decided, DecidedRule, Event, Field, Header, Identity, Reader, TokenFacts, Unreadable, Writer, line,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn text() -> impl Strategy<Value = String> {
    let words = select(vec!["subject", "token", "session", "decided", "absent", "],", "},"]).prop_map(str::to_owned);
    prop_oneof![4 => "[a-z]{0,6}", 4 => "\\PC{0,4}", 1 => Just("\"\\\n\u{0}".to_owned()), 2 => words]
}

fn field<T: Clone + std::fmt::Debug + 'static>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Field<T>> {
    prop_oneof![
        3 => value.prop_map(Field::Present),
        1 => Just(Field::Absent),
        1 => Just(Field::Redacted),
        1 => Just(Field::Truncated),
        1 => Just(Field::NotRecorded),
    ]
    .boxed()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e15..1e15f64).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(text(), inner, 0..3).prop_map(|m| Value::from(m.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn withheld() -> impl Strategy<Value = Vec<Withheld>> {
    let pointers = btree_set("(/[a-z]{0,3}|/~0|/~1x){1,2}", 0..4);
    (pointers, vec(0..3u8, 4)).prop_map(|(pointers, why)| {
        let mut list: Vec<(u8, String)> = why.into_iter().zip(pointers).collect();
        list.sort();
        list.into_iter()
            .map(|(why, pointer)| Withheld {
                pointer,
                because: match why {
                    0 => WithheldBecause::Redacted,
                    1 => WithheldBecause::Truncated,
                    _ => WithheldBecause::NotRecorded,
                },
            })
            .collect()
    })
}

fn asked() -> impl Strategy<Value = (String, ResourceKind, String)> {
    let known = (select(Action::ALL), any::<prop::sample::Selector>(), text()).prop_map(|(action, kind, name)| {
        let kind = kind.select(action.reaches().iter().copied());
        let name = if kind == ResourceKind::Server { String::new() } else { name };
        (action.method().to_owned(), kind, name)
    });
    let unknown = (text(), text()).prop_map(|(method, name)| (format!("x/{method}"), ResourceKind::Server, name));
    prop_oneof![9 => known, 1 => unknown]
}

fn identity() -> impl Strategy<Value = Identity> {
    let claims = btree_map(text(), vec(text(), 0..3), 0..3);
    (field(text()), field(text()), field(text()), field(vec(text(), 0..3)), field(claims))
        .prop_map(|(issuer, sub, agent, groups, claims)| Identity { issuer, sub, agent, groups, claims })
}

fn token() -> impl Strategy<Value = TokenFacts> {
    let time = || any::<i64>().prop_map(Timestamp);
    (field(vec(text(), 0..3)), field(vec(text(), 0..3)), field(time()), field(time()), field(time()))
        .prop_map(|(aud, scopes, iat, exp, nbf)| TokenFacts { aud, scopes, iat, exp, nbf })
}

fn decided() -> impl Strategy<Value = Option<Decided>> {
    prop::option::of((any::<bool>(), select(Reason::ALL), prop::option::of(text())).prop_map(
        |(allow, reason, rule)| Decided {
            effect: if allow { Effect::Allow } else { Effect::Deny },
            reason,
            rule: rule.map(|name| DecidedRule { kind: RuleKind::Grant, name }),
            digest: "sha256:00".to_owned(),
        },
    ))
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let arguments = (field(btree_map(text(), value(), 0..4)), withheld());
    let labels = (field(text()), field(text()), field(text()));
    (any::<i64>(), text(), asked(), arguments, identity(), token(), labels, decided()).prop_map(
        |(time, door, (method, kind, name), (arguments, withheld), subject, token, (id, era, session), decided)| {
            let arguments = match arguments {
                Field::Present(map) => Field::Present(map.into_iter().collect::<Map<_, _>>()),
                Field::Absent => Field::Absent,
                Field::Redacted => Field::Redacted,
                Field::Truncated => Field::Truncated,
                Field::NotRecorded => Field::NotRecorded,
            };
            let withheld = if arguments.present().is_some() { withheld } else { Vec::new() };
            let mut event = Event::new(Timestamp(time), door, Action::Unknown, name);
            event.method = method;
            event.kind = kind;
            (event.arguments, event.withheld) = (arguments, withheld);
            (event.subject, event.token, event.decided) = (subject, token, decided);
            (event.id, event.era, event.session) = (id, era, session);
            event
        },
    )
}

fn read(bytes: &[u8]) -> Vec<Result<Event, Unreadable>> {
    Reader::new(bytes).unwrap().map(|item| item.map(|numbered| numbered.event)).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_recording_reads_back_as_it_was_written(events in vec(event(), 0..6)) {
        let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
        for event in &events {
            writer.write(event).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let back: Vec<Event> = read(&bytes).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(&back, &events);
        for (event, text) in back.iter().zip(bytes.split(|b| *b == b'\n').skip(1)) {
            let again = line(event).unwrap();
            prop_assert_eq!(again.as_bytes(), text, "the same event gives the same bytes");
        }
    }

    #[test]
    fn a_recording_cut_anywhere_loses_at_most_its_last_line_and_says_so(event in event(), cut in 0..10_000usize) {
        let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
        writer.write(&event).unwrap();
        let start = writer.finish().unwrap();
        let text = line(&event).unwrap();
        let cut = 1 + cut % (text.len() - 1);
        let items = read(&[&start, &text.as_bytes()[..cut]].concat());
        prop_assert_eq!(items.len(), 2);
        prop_assert_eq!(items[0].as_ref().unwrap(), &event);
        prop_assert_eq!(items[1].as_ref().unwrap_err().code.as_str(), "truncated-line");
    }

    #[test]
    fn a_line_with_some_bytes_changed_is_read_or_refused_and_means_nothing_else(
        event in event(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut text = line(&event).unwrap().into_bytes();
        for (at, byte) in changes {
            *at.get_mut(&mut text[..]) = if byte == b'\n' { b' ' } else { byte };
        }
        let header = b"{\"schema\":\"doorward.recording/v1\",\"recorder\":\"test\"}\n";
        let items = read(&[&header[..], &text, b"\n"].concat());
        prop_assert_eq!(items.len(), 1);
        if let Ok(changed) = &items[0] {
            let again = read(&[&header[..], line(changed).unwrap().as_bytes()].concat());
            prop_assert_eq!(again[0].as_ref().unwrap(), changed);
        }
    }

    #[test]
    fn a_line_says_the_same_however_it_is_spaced(
        event in event(),
        changes in vec((any::<prop::sample::Index>(), select(b"{}[],:\"\\ x0-e\x01".as_slice())), 0..3),
        (from, length, to) in (any::<prop::sample::Index>(), 0..40_usize, any::<prop::sample::Index>()),
    ) {
        let mut event = event;
        let near = |time: &mut Timestamp| time.0 = time.0.rem_euclid(4_000_000_000);
        near(&mut event.time);
        for time in [&mut event.token.iat, &mut event.token.exp, &mut event.token.nbf] {
            if let Field::Present(time) = time {
                near(time);
            }
        }
        let mut text = line(&event).unwrap().into_bytes();
        if length % 4 == 0 {
            for (at, byte) in changes {
                *at.get_mut(&mut text[..]) = byte;
            }
        }
        // A piece of the line once more, elsewhere.
        if length > 20 {
            let from = from.index(text.len());
            let piece = text[from..text.len().min(from + length)].to_vec();
            let to = to.index(text.len());
            text.splice(to..to, piece);
        }
        let header = b"{\"schema\":\"doorward.recording/v1\",\"recorder\":\"test\"}\n";
        // A space sends the line to the JSON parser.
        let [plain, spaced] = ["", " "].map(|space| read(&[&header[..], space.as_bytes(), &text, b"\n"].concat()));
        prop_assert_eq!(plain.len(), 1);
        match (&plain[0], &spaced[0]) {
            (Err(plain), Err(spaced)) => prop_assert_eq!(plain.code, spaced.code),
            (plain, spaced) => prop_assert_eq!(plain, spaced),
        }
    }

    #[test]
    fn each_line_is_one_item_whatever_is_in_it(lines in vec("[^\n]{0,40}", 0..8), bytes in vec(any::<u8>(), 0..40)) {
        let header = b"{\"schema\":\"doorward.recording/v1\",\"recorder\":\"test\"}\n";
        let body = format!("{}\n", lines.join("\n"));
        let all = [&header[..], body.as_bytes(), &bytes].concat();
        // The header is one piece, and so is what stands behind a last newline: nothing.
        let pieces = all.split(|b| *b == b'\n').count();
        let expected = pieces - 1 - usize::from(all.last() == Some(&b'\n'));
        prop_assert_eq!(read(&all).len(), expected);
    }
}

#[test]
fn an_event_has_no_place_for_a_token() {
    for key in ["token_value", "authorization", "access_token", "bearer"] {
        let text = format!(
            "{{\"schema\":\"doorward.recording/v1\",\"recorder\":\"t\"}}\n{{\"time\":1,\"door\":\"d\",\"method\":\"ping\",\"{key}\":\"x\"}}"
        );
        assert_eq!(read(text.as_bytes())[0].as_ref().unwrap_err().code.as_str(), "not-an-event");
    }
}

/// The code blocks of one language on the page about recordings.
fn examples(language: &str) -> Vec<String> {
    let page = include_str!("../../docs/recordings.md");
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_examples_on_the_page_about_recordings_are_read() {
    for recording in examples("jsonl") {
        let events: Vec<Event> = read(recording.as_bytes()).into_iter().map(Result::unwrap).collect();
        assert_eq!(events.len(), 2);
        let written: Vec<String> = events.iter().map(|event| line(event).unwrap()).collect();
        assert!(recording.lines().skip(1).eq(written.iter().map(String::as_str)), "{written:#?}");
    }
    for mapping in examples("toml") {
        doorward::traffic::mapping::load("mapping.toml", mapping.as_bytes(), &mut Sources::default()).unwrap();
    }
    assert_eq!((examples("jsonl").len(), examples("toml").len()), (1, 1));
}

#[test]
fn a_line_cut_in_the_middle_of_a_number_is_a_cut_and_not_another_mistake() {
    let header = "{\"schema\":\"doorward.recording/v1\",\"recorder\":\"test\"}\n";
    let event = "{\"time\":1,\"door\":\"d\",\"method\":\"tools/call\",\"name\":\"t\",\"arguments\":{\"a\":";
    let code = |rest: &str| read(format!("{header}{event}{rest}").as_bytes())[0].as_ref().unwrap_err().code.as_str();
    for rest in ["-", "1.", "1e", "1E+", "12", "\"\\u00", "tru"] {
        assert_eq!(code(rest), "truncated-line", "{rest}");
    }
    for rest in ["-x", "01", "1.x", "-\n"] {
        assert_eq!(code(rest), "not-json", "{rest}");
    }
}
