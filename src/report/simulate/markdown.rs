//! A rehearsal as Markdown, for a comment on a pull request: the verdict first, then what changes.
//!
//! Names come from traffic and may be hostile. Each stands in a code span or, where a span cannot
//! hold it, as character references: no name becomes markup, a link or a mention. The text stays
//! within what a comment can hold and says how much it leaves out.

use super::unusual::{found, total, what};
use super::words::{
    PRESENCE, Rehearsed, between, by_impact, costs, event_place, idle, kind, many, presence, usage, were,
};
use super::{answer, storage};
use crate::pdp::Condition;
use crate::policy::written;
use crate::report::text::harmless;
use crate::simulate::{Ages, Change, Counts, Group, Groups, RULES, Report, Sessions, Unusual};

/// The most characters of the text. A comment on GitHub holds 65,536.
pub const MARKDOWN_LIMIT: usize = 65_000;

/// What is kept free for the line that says what is left out.
const TAIL: usize = 400;
/// The most rows of the table of changes, and of each of the others.
const CHANGES: usize = 20;
const ROWS: usize = 30;
/// The longest name, in characters.
const NAME: usize = 120;

/// The rehearsal as Markdown of at most [`MARKDOWN_LIMIT`] characters.
pub fn markdown(rehearsed: &Rehearsed<'_>) -> String {
    let mut page = Page { out: String::new(), used: 0, left_out: 0 };
    page.verdict(rehearsed);
    page.totals(rehearsed);
    page.changes(rehearsed);
    page.sessions(&rehearsed.report.sessions);
    page.why(rehearsed);
    let report = rehearsed.report;
    page.storage(report);
    page.ages(&report.ages);
    page.unusual(&report.unusual);
    for (title, groups) in [
        ("By door", &report.doors),
        ("By tool, prompt and resource", &report.items),
        ("By reason", &report.reasons),
        ("By statement", &report.rules),
        ("By subject", &report.subjects),
        ("By agent", &report.agents),
        ("By role", &report.roles),
        ("By tenant", &report.tenants),
    ] {
        page.groups(title, groups, report.totals.events);
    }
    page.idle(rehearsed);
    page.finish(rehearsed)
}

struct Page {
    out: String,
    /// Characters so far.
    used: usize,
    left_out: u64,
}

impl Page {
    /// Adds a block whole or not at all.
    fn block(&mut self, text: &str) -> bool {
        let length = text.chars().count();
        let fits = self.used + length + TAIL <= MARKDOWN_LIMIT;
        if fits {
            self.out.push_str(text);
            self.used += length;
        } else {
            self.left_out += 1;
        }
        fits
    }

    fn verdict(&mut self, rehearsed: &Rehearsed<'_>) {
        let report = rehearsed.report;
        let mut text = format!("## Rehearsal: {}\n\n", rehearsed.headline());
        for line in rehearsed.because() {
            text += &format!("- **{}**\n", plain(&line));
        }
        let drift = &report.drift;
        let different = drift.different_total();
        if different > 0 {
            let of = many(drift.decidable(), "decision");
            text +=
                &format!("- **drift: {different} of {of} are not as recorded, by the very policy that made them**\n");
        } else if drift.checked > 0 {
            let all = many(drift.decidable(), "recorded decision");
            text += &format!("- {all} reproduced by the policy that made them\n");
        }
        if drift.other_policy > 0 {
            let were = were(drift.other_policy);
            text += &format!("- {} {were} decided by a policy that is not here\n", many(drift.other_policy, "event"));
        }
        let unreadable = report.unreadable_total();
        if unreadable > 0 {
            text += &format!("- **{} could not be read**\n", many(unreadable, "record"));
        }
        let when = report.window.map(|w| format!(", {} to {}", w.first, w.last)).unwrap_or_default();
        text += &format!("- {}{when}\n", many(report.totals.events, "event"));
        self.block(&text);
    }

    fn totals(&mut self, rehearsed: &Rehearsed<'_>) {
        let totals = &rehearsed.report.totals;
        let mut rows = Vec::new();
        if rehearsed.is_compared() {
            rows.extend([
                ("still allowed", totals.still_allowed, 0),
                ("still denied", totals.still_denied, 0),
                ("**newly denied**", totals.newly_denied, totals.newly_denied_range().at_most),
                ("**newly allowed**", totals.newly_allowed, totals.newly_allowed_range().at_most),
                ("undecidable", totals.unsettled, 0),
                ("nothing to compare with", totals.uncompared, 0),
                ("of these, denied for another reason", totals.other_reason, 0),
                ("of these, by another statement", totals.other_rule, 0),
                ("of these, with other obligations", totals.other_obligations, 0),
            ]);
        } else {
            rows.extend([
                ("allowed", totals.allowed, totals.allowed_range().at_most),
                ("denied", totals.denied, totals.denied_range().at_most),
                ("undecidable", totals.undecidable, 0),
            ]);
        }
        let mut text = String::from("\n| class | events |\n| --- | ---: |\n");
        for (at, (name, count, most)) in rows.into_iter().enumerate() {
            if at < 4 || count > 0 {
                let most = if most > count { format!(" to {most}") } else { String::new() };
                text += &format!("| {name} | {count}{most} |\n");
            }
        }
        self.block(&text);
    }

    fn changes(&mut self, rehearsed: &Rehearsed<'_>) {
        let report = rehearsed.report;
        let drift = by_impact(&report.drift.different);
        let list: Vec<&Change> = drift.into_iter().chain(by_impact(&report.changes)).collect();
        if list.is_empty() {
            return;
        }
        let head = if rehearsed.is_compared() { "What comes out differently" } else { "What is not allowed" };
        let mut text = format!(
            "\n### {head}\n\n| events | | item | before → after | first seen |\n| ---: | --- | --- | --- | --- |\n"
        );
        for change in list.iter().take(CHANGES) {
            let first = change.samples.first();
            let seen = first.map(|s| format!("{} at {}", span(&s.about), span(&event_place(s)))).unwrap_or_default();
            text += &format!(
                "| {} | {} | {} | {} → {} | {seen} |\n",
                change.count,
                kind(change.kind),
                span(&change.item),
                span(&answer(&change.before)),
                span(&answer(&change.after)),
            );
        }
        let rest = list.len().saturating_sub(CHANGES);
        if rest > 0 {
            text += &format!("\n{} more in the full report.\n", many(rest as u64, "row"));
        }
        let others = report.changes.others.saturating_add(report.drift.different.others);
        if others > 0 {
            text += &format!("\n{} of further kinds.\n", many(others, "event"));
        }
        self.block(&text);
    }

    /// Which agent sessions break, where there are any.
    fn sessions(&mut self, sessions: &Sessions) {
        let breaking = sessions.breaking;
        if breaking.at_most == 0 {
            return;
        }
        let mut text =
            format!("\n### Agent sessions\n\n**{}** of {} break.\n", between(breaking), between(sessions.seen));
        text += "\n| breaks at | sessions | perhaps more |\n| --- | ---: | ---: |\n";
        for item in sessions.items.iter().take(CHANGES) {
            text += &format!("| {} | {} | {} |\n", span(&item.item), item.sessions, item.perhaps);
        }
        if let Some(first) = sessions.list.first() {
            let (before, calls) = (between(first.before), many(first.calls, "call"));
            text += &format!(
                "\nFor example {} of {}: after {before} of {calls}, at {}.\n",
                span(&first.session),
                span(&first.subject),
                span(&event_place(&first.witness))
            );
        }
        self.block(&text);
    }

    /// The first event of each of the changes shown, explained.
    fn why(&mut self, rehearsed: &Rehearsed<'_>) {
        let mut text = String::from("\n<details><summary>Why, and what would allow it</summary>\n\n");
        let start = text.len();
        for change in by_impact(&rehearsed.report.changes).into_iter().take(CHANGES) {
            let Some((sample, why)) = change.samples.iter().find_map(|s| Some((s, s.why.as_deref()?))) else {
                continue;
            };
            text += &format!("- {} {}, {}\n", kind(change.kind), span(&change.item), span(&event_place(sample)));
            for condition in &why.failed {
                text += &format!("  - {}\n", unmet(condition));
            }
            for (rule, condition) in why.statements.iter().filter_map(|one| Some((&one.rule, one.unmet.as_ref()?))) {
                text += &format!("  - {} ({}): {}\n", span(&rule.label()), span(&rule.at), unmet(condition));
            }
            for advice in &why.advice {
                text += &format!("  - to allow it: {}\n", sentence(advice));
            }
        }
        if text.len() > start {
            text += "\n</details>\n";
            self.block(&text);
        }
    }

    /// What the audit log takes, where the candidate keeps it otherwise.
    fn storage(&mut self, report: &Report) {
        if !report.storage.changes() {
            return;
        }
        let mut text = format!("\n### Audit log\n\n| {} |\n| --- |", storage::HEAD.join(" | "));
        text += &" ---: |".repeat(storage::HEAD.len() - 1);
        text.push('\n');
        for one in report.storage.classes.iter().take(ROWS) {
            let [class, cells @ ..] = storage::cells(one);
            text += &format!("| {} | {} |\n", span(&class), cells.join(" | "));
        }
        text += &format!("\n{}\n", storage::note(report));
        self.block(&text);
    }

    /// What shorter token lifetimes would cost, where any would.
    fn ages(&mut self, ages: &Ages) {
        if ages.total.older.iter().all(|older| *older == 0) {
            return;
        }
        let mut text = format!(
            "\n<details><summary>What a shorter token_ttl would cost, of {}</summary>\n\n\
             | token_ttl | calls denied | sessions cut | new tokens |\n| --- | ---: | ---: | ---: |\n",
            many(ages.total.calls, "allowed call")
        );
        for cost in costs(ages).filter(|cost| cost.denied > 0) {
            let (ttl, denied, cut) = (written(u64::from(cost.ttl)), cost.denied, cost.cut);
            text += &format!("| {ttl} | {denied} | {cut} | {} |\n", between(cost.renewals));
        }
        text += "\n</details>\n";
        self.block(&text);
    }

    /// Allowed calls that somebody should look at.
    fn unusual(&mut self, unusual: &Unusual) {
        let total = total(unusual);
        if total == 0 {
            return;
        }
        let mut text = format!(
            "\n<details><summary>Unusual calls that are allowed: {total}</summary>\n\n\
             | rule | subject | what | calls | first seen |\n| --- | --- | --- | ---: | --- |\n"
        );
        for row in unusual.list.iter().take(ROWS) {
            let seen = row.samples.first().map(|sample| span(&event_place(sample))).unwrap_or_default();
            let because = row.because.as_str();
            text +=
                &format!("| {because} | {} | {} | {} | {seen} |\n", span(&row.subject), span(&what(row)), row.calls);
        }
        text.push('\n');
        for (_, rule) in RULES.iter().filter(|(because, _)| found(unusual, *because) > 0) {
            text += &format!("- {rule}\n");
        }
        text += "\n</details>\n";
        self.block(&text);
    }

    fn groups(&mut self, title: &str, groups: &Groups, events: u64) {
        if groups.list.is_empty() {
            return;
        }
        let mut list: Vec<&Group> = groups.list.iter().collect();
        list.sort_by_key(|group| std::cmp::Reverse(group.counts.impact()));
        let seen = list.iter().any(|group| group.seen.is_some());
        let more = if seen { format!(" {} |", PRESENCE.join(" | ")) } else { String::new() };
        let line = if seen { " ---: | ---: | --- | --- |" } else { "" };
        let mut text = format!(
            "\n<details><summary>{title}</summary>\n\n| | events | allowed | denied | undecidable | newly denied | newly allowed |{more}\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |{line}\n"
        );
        let row = |name: &str, c: &Counts, presence: Option<[String; 4]>| {
            let (all, allowed, denied) = (c.events, c.allowed, c.denied);
            let more = presence.map(|cells| format!(" {} |", cells.join(" | "))).unwrap_or_default();
            format!(
                "| {name} | {all} | {allowed} | {denied} | {} | {} | {} |{more}\n",
                c.undecidable, c.newly_denied, c.newly_allowed
            )
        };
        for group in list.iter().take(ROWS) {
            text += &row(&span(&group.name), &group.counts, presence(group, events));
        }
        let mut rest = groups.others;
        list.iter().skip(ROWS).for_each(|group| rest.add(&group.counts));
        if rest.events > 0 {
            text += &row("all others", &rest, None);
        }
        text += "\n</details>\n";
        self.block(&text);
    }

    fn idle(&mut self, rehearsed: &Rehearsed<'_>) {
        let list: Vec<_> = idle(rehearsed.report).collect();
        if list.is_empty() {
            return;
        }
        let count = many(list.len() as u64, "statement");
        let mut text = format!("\n<details><summary>{count} decided nothing in this traffic</summary>\n\n");
        for hits in list.iter().take(ROWS) {
            let (_, meaning) = usage(hits.usage);
            text += &format!("- {} {} {meaning}\n", span(&hits.rule.label()), span(&hits.rule.at));
        }
        if list.len() > ROWS {
            text += &format!("- and {} more\n", list.len() - ROWS);
        }
        text += "\n</details>\n";
        self.block(&text);
    }

    fn finish(mut self, rehearsed: &Rehearsed<'_>) -> String {
        if self.left_out > 0 {
            let sections = many(self.left_out, "section");
            self.out += &format!("\n{sections} left out: a comment holds {MARKDOWN_LIMIT} characters.\n");
        }
        let digest: String = rehearsed.report.candidate.chars().take(19).collect();
        self.out += &format!("\n<sub>doorward {}, candidate {}</sub>\n", env!("CARGO_PKG_VERSION"), span(&digest));
        self.out
    }
}

/// A name from outside as a code span, in which nothing is markup; where a span cannot hold it
/// within a table, as character references.
fn span(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = shortened(text, NAME);
    if text.contains(['`', '|', '\\']) || text.starts_with(' ') || text.ends_with(' ') {
        return format!("<code>{}</code>", references(&text));
    }
    format!("`{text}`")
}

/// A condition that was not met.
fn unmet(condition: &Condition) -> String {
    let Condition { field, wanted, found } = condition;
    let found = if found.is_empty() { String::new() } else { format!(", has {}", span(found)) };
    format!("{} asks for {}{found}", span(field), span(wanted))
}

/// A sentence of ours with names between backticks. However they are set, each part is safe.
fn sentence(text: &str) -> String {
    let text = shortened(text, 3 * NAME);
    text.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { plain(part) } else { span(part) }).collect()
}

/// A sentence of ours with names from outside in it.
fn plain(text: &str) -> String {
    let text = shortened(text, 3 * NAME);
    // Only what is common in our own sentences stays as it is.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | ',' | ';' | '=' | '-' | '\'' | '(' | ')');
    text.chars().map(|c| if plain(c) { c.to_string() } else { reference(c) }).collect()
}

fn references(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || c == ' ' { c.to_string() } else { reference(c) }).collect()
}

fn reference(c: char) -> String {
    format!("&#{};", u32::from(c))
}

fn shortened(text: &str, longest: usize) -> String {
    let text = harmless(text);
    if text.chars().count() <= longest {
        return text.into_owned();
    }
    text.chars().take(longest).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_markup_a_link_or_a_mention() {
        assert_eq!(span("tickets:refund"), "`tickets:refund`");
        assert_eq!(span("a|b"), "<code>a&#124;b</code>");
        assert_eq!(span("`x` @all"), "<code>&#96;x&#96; &#64;all</code>");
        assert_eq!(span("</details><img src=x>"), "`</details><img src=x>`");
        assert_eq!(span("a\nb\u{202e}"), "`a␊b\u{fffd}`");
        assert_eq!(
            plain("@all [x](http://e.com) <b>"),
            "&#64;all &#91;x&#93;(http&#58;&#47;&#47;e&#46;com) &#60;b&#62;"
        );
        assert_eq!(span(&"x".repeat(500)).chars().count(), NAME + 3);
    }
}
