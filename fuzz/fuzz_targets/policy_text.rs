//! Any bytes as a policy: reading never panics, says why when it refuses, and what it accepts
//! survives being written and read again.
#![no_main]

use doorward::diagnostics::Severity;
use doorward::policy::{CompiledPolicy, Layers, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // A zero byte, which no policy holds, parts the base from an overlay.
    let mut texts = data.splitn(2, |byte| *byte == 0);
    let files = ["policies.toml", "policies.dev.toml"]
        .into_iter()
        .zip(&mut texts)
        .map(|(name, text)| (name.to_owned(), text.to_vec()))
        .collect();
    let loaded = load(&Layers { files, environment: Vec::new() });
    let has_error = loaded.problems.iter().any(|p| p.severity() == Severity::Error);
    assert_eq!(has_error, loaded.policy.is_none(), "a policy comes exactly when no problem is an error");
    for problem in &loaded.problems {
        for label in problem.primary.iter().chain(&problem.secondary) {
            let source = loaded.sources.get(label.span.source).expect("a place in a text that was read");
            assert!(label.span.start <= label.span.end && label.span.end as usize <= source.text.len());
        }
    }
    if let Some(policy) = loaded.policy {
        let bytes = policy.compiled.to_file().expect("a compiled policy can be written");
        let again = CompiledPolicy::from_file(&bytes).expect("and read");
        assert_eq!(again.digest(), policy.compiled.digest());
        assert_eq!(again.set(), policy.compiled.set());
    }
});
