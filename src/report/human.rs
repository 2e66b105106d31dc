//! Problems for a person: message, place, the lines at fault and what to do next.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::excerpt::excerpt;
use super::style::Style;
use super::text::{harmless, plural, summary};
use crate::diagnostics::{Diagnostic, Label, Severity, Source, SourceId, Sources, Span};

/// Places further apart than this many bytes are shown apart.
const APART: usize = 2_000;

/// How many problems a person is shown. The other formats have all of them.
const SHOWN: usize = 100;

/// The problems in the order given, each followed by an empty line, and their count. Of more than
/// `SHOWN` the errors come first, so that no error is hidden by warnings.
pub fn check(problems: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let renderer = if style.is_coloured() { Renderer::styled() } else { Renderer::plain() };
    let mut shown: Vec<&Diagnostic> = problems.iter().collect();
    if shown.len() > SHOWN {
        shown.sort_by_key(|problem| problem.severity() != Severity::Error);
        shown.truncate(SHOWN);
    }
    let mut out = String::new();
    for problem in &shown {
        out.push_str(&renderer.render(&[group(problem, sources)]));
        out.push_str("\n\n");
    }
    let more = problems.len() - shown.len();
    if more > 0 {
        out.push_str(&format!("{} not shown here; --format json has all of them\n", plural(more, "problem")));
    }
    out.push_str(&summary(problems));
    out.push('\n');
    out
}

fn group<'a>(problem: &'a Diagnostic, sources: &'a Sources) -> Group<'a> {
    let level = match problem.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        level.primary_title(harmless(&problem.message)).id(problem.code.as_str()).elements(Vec::<Element<'a>>::new());
    for neighbourhood in neighbourhoods(problem, sources) {
        group = group.elements(neighbourhood.elements());
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(lines(help)));
    }
    group.element(Level::NOTE.with_name("docs").message(problem.code.page_path()))
}

/// Lines of a text that may have several, each harmless.
fn lines(text: &str) -> String {
    text.lines().map(|line| harmless(line).into_owned()).collect::<Vec<_>>().join("\n")
}

/// Marks of one file that are near enough to be shown in one excerpt.
struct Neighbourhood<'a> {
    source: &'a Source,
    marks: Vec<(Range<usize>, &'a Label, AnnotationKind)>,
}

/// The one with the token at fault first, the others as they stand in the files.
fn neighbourhoods<'a>(problem: &'a Diagnostic, sources: &'a Sources) -> Vec<Neighbourhood<'a>> {
    let primary = problem.primary.iter().map(|label| (label, AnnotationKind::Primary));
    let secondary = problem.secondary.iter().map(|label| (label, AnnotationKind::Context));
    let mut marks: Vec<_> = primary.chain(secondary).collect();
    marks.sort_by_key(|(label, _)| label.span);

    let mut list: Vec<(SourceId, Neighbourhood<'a>)> = Vec::new();
    for (label, kind) in marks {
        let Some(source) = sources.get(label.span.source) else { continue };
        let range = bytes(label.span);
        match list.last_mut() {
            Some((id, near))
                if *id == label.span.source
                    && near.marks.iter().any(|(other, _, _)| range.start <= other.end.saturating_add(APART)) =>
            {
                near.marks.push((range, label, kind));
            }
            _ => list.push((label.span.source, Neighbourhood { source, marks: vec![(range, label, kind)] })),
        }
    }
    let mut list: Vec<_> = list.into_iter().map(|(_, near)| near).collect();
    list.sort_by_key(|near| near.primary().is_none());
    list
}

fn bytes(span: Span) -> Range<usize> {
    span.start as usize..(span.end as usize).max(span.start as usize)
}

impl<'a> Neighbourhood<'a> {
    fn primary(&self) -> Option<&'a Label> {
        self.marks.iter().find(|(_, _, kind)| *kind == AnnotationKind::Primary).map(|(_, label, _)| *label)
    }

    fn elements(&self) -> Vec<Element<'a>> {
        let ranges: Vec<_> = self.marks.iter().map(|(range, _, _)| range.clone()).collect();
        let cut = excerpt(self.source, &ranges);
        let annotations = self.marks.iter().zip(cut.marks).map(|((_, label, kind), range)| {
            let note = Some(harmless(&label.note)).filter(|note| !note.is_empty());
            kind.span(range).label(note)
        });
        let snippet = Snippet::source(cut.text).line_start(cut.first_line).annotations(annotations);
        if !cut.shifted {
            return vec![snippet.path(Some(harmless(&self.source.name))).into()];
        }
        // The renderer would count the column in what is left of the line.
        let first = self.primary().map_or_else(|| ranges.first().map_or(0, |r| r.start), |l| l.span.start as usize);
        let (line, column) = self.source.line_column(u32::try_from(first).unwrap_or(u32::MAX));
        let origin = Origin::path(harmless(&self.source.name)).line(line as usize).char_column(column as usize);
        vec![origin.into(), snippet.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Code;
    use crate::report::sample::sample;

    #[test]
    fn every_problem_shows_its_place_and_what_to_do() {
        let (sources, problems) = sample();
        let text = check(&problems, &sources, Style::PLAIN);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let (sources, problems) = sample();
        let coloured = check(&problems, &sources, Style::COLOUR);
        let mut plain = String::new();
        for (i, part) in coloured.split('\u{1b}').enumerate() {
            plain.push_str(if i == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, check(&problems, &sources, Style::PLAIN));
    }

    #[test]
    fn a_problem_in_a_large_file_costs_no_more_than_its_lines() {
        let mut sources = Sources::default();
        let id = sources.add("big.toml", &"key = \"value\"\n".repeat(70_000));
        let span = Span { source: id, start: 560_000, end: 560_003 };
        let problems = vec![Diagnostic::new(Code::UnknownKey, "x").at(span, ""); 500];
        let text = check(&problems, &sources, Style::PLAIN);
        assert!(text.contains(" --> big.toml:40001:1\n") && text.ends_with("\n500 errors\n"), "{}", text.len());
    }
}
