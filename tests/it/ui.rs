//! Every problem that loading can find, on small bad policies, as text.

use doorward::diagnostics::{Diagnostic, Label};
use doorward::policy::{Layers, Loaded, load};

/// Each problem as `code file:line:column-line:column message`, then help and further places.
fn shown(loaded: &Loaded) -> String {
    loaded.problems.iter().map(|problem| one(loaded, problem)).collect()
}

fn one(loaded: &Loaded, problem: &Diagnostic) -> String {
    let place = |label: &Label| {
        let source = loaded.sources.get(label.span.source).unwrap();
        let (line, column) = source.line_column(label.span.start);
        let (end_line, end_column) = source.line_column(label.span.end);
        let note = if label.note.is_empty() { String::new() } else { format!(" ({})", label.note) };
        format!(
            "{}:{line}:{column}-{end_line}:{end_column} [{}]{note}",
            source.name,
            loaded.sources.text(label.span).escape_debug()
        )
    };
    let mut text = format!("{}", problem.code);
    if let Some(label) = &problem.primary {
        text += &format!(" {}", place(label));
    }
    text += &format!("\n  {}\n", problem.message);
    if let Some(help) = &problem.help {
        text += &format!("  help: {help}\n");
    }
    for label in &problem.secondary {
        text += &format!("  also: {}\n", place(label));
    }
    text
}

fn layers(files: &[(&str, &str)]) -> Layers {
    Layers {
        files: files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
        ..Layers::default()
    }
}

#[test]
fn the_example_has_no_problems() {
    let loaded = load(&layers(&[("policies.toml", include_str!("../../policies.toml"))]));
    assert_eq!(shown(&loaded), "");
    let policy = loaded.policy.unwrap();
    assert_eq!(policy.compiled.set().grants.len(), 3);
    assert_eq!(policy.spans.grants.len(), 3);
}
