//! Today's grants and the suggested ones, statement by statement.

use std::fmt::Write;

use super::{Findings, cited};
use crate::policy::set::Statement;
use crate::report::text::harmless;
use crate::report::toml::{array, rules, selector, string};

/// Lines with ` `, `-` and `+`: what stays, what goes and what comes. Without today's policy
/// everything comes.
pub fn diff(findings: &Findings<'_>) -> String {
    let studied = findings.studied;
    let mut out = String::new();
    let today = studied.against.as_ref().map_or(&[][..], |against| against.grants.as_slice());
    let suggested = &studied.suggestion.grants;
    let from = studied.against.as_ref().map_or("nothing", |against| against.digest.as_str());
    line(&mut out, format_args!("--- {from}"));
    line(&mut out, format_args!("+++ {}", studied.suggestion.policy.digest()));
    for grant in today {
        let stays = suggested.iter().any(|other| alike(&grant.statement, &other.statement));
        let used = if grant.evidence.calls == 0 {
            "no learned call was decided by it".to_owned()
        } else {
            format!("{} of {} items used", grant.covered - grant.unused.len(), grant.covered)
        };
        line(&mut out, format_args!("@@ {}: {used} @@", harmless(&grant.position.to_string())));
        write(&mut out, if stays { ' ' } else { '-' }, &grant.statement);
    }
    for grant in suggested.iter().filter(|g| !today.iter().any(|other| alike(&g.statement, &other.statement))) {
        line(&mut out, format_args!("@@ {} @@", cited(&grant.evidence, grant.subjects, false)));
        write(&mut out, '+', &grant.statement);
    }
    out
}

/// Whether two grants give the same for ever.
fn alike(a: &Statement, b: &Statement) -> bool {
    a.to == b.to && a.items == b.items && a.args == b.args && a.expires == b.expires
}

fn write(out: &mut String, mark: char, statement: &Statement) {
    let mut put = |text: String| line(out, format_args!("{mark}{text}"));
    put("[[grants]]".to_owned());
    if let Some(name) = &statement.name {
        put(format!("name = {}", string(name)));
    }
    if let Some(expires) = statement.expires {
        put(format!("expires = {expires}"));
    }
    put(format!("to = {}", selector(&statement.to)));
    put(format!("allow = {}", array(statement.items.iter().map(ToString::to_string))));
    for (pattern, of) in &statement.args {
        put(format!("args.{} = {}", string(&pattern.to_string()), rules(of)));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
