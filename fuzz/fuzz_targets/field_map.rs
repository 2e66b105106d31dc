//! Any bytes as a field map, and behind a zero byte any bytes as the log it reads: problems have a
//! place, every record is accounted for, and every event can be written and read again.
#![no_main]

use std::ops::ControlFlow;

use doorward::diagnostics::Sources;
use doorward::traffic::{self, fieldmap, log};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut texts = data.splitn(2, |byte| *byte == 0);
    let (text, bytes) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    let mut sources = Sources::default();
    let read = |map: &fieldmap::FieldMap| {
        let mut events = 0;
        let counts = log::read(bytes, map, None, &mut |item| {
            if let Ok(numbered) = item {
                events += 1;
                let line = traffic::line(&numbered.event).expect("an event can be written");
                assert_eq!(traffic::read_event(line.as_bytes()).expect("and read"), numbered.event);
            }
            ControlFlow::Continue(())
        });
        assert!(counts.is_complete() && counts.events == events);
    };
    match fieldmap::load("map.toml", text, &mut sources) {
        Ok(map) => read(&map),
        Err(problems) => {
            assert!(!problems.is_empty());
            for label in problems.iter().flat_map(|problem| &problem.primary) {
                let source = sources.get(label.span.source).expect("a place in a text that was read");
                assert!(label.span.start <= label.span.end && label.span.end as usize <= source.text.len());
            }
        }
    }
    // A text that names a shipped map is the log of that one.
    if let Some(shipped) = std::str::from_utf8(text).ok().and_then(fieldmap::shipped) {
        read(&fieldmap::load(shipped.name, shipped.text.as_bytes(), &mut sources).expect("a shipped map can be used"));
    }
});
