//! `docs/cli.md`, written from the command line itself so that it cannot drift.

use std::fmt::Write;

use clap::{Arg, Command};

use super::failure::Kind;

/// The reference page of the command line, in Markdown.
pub fn reference() -> String {
    let mut page = String::from("# The command line\n\nWritten from `doorward --help`; a test compares them.\n");
    let mut root = super::command();
    root.build();
    section(&mut page, &root, "doorward", 2);
    for command in below(&root) {
        let title = format!("doorward {}", command.get_name());
        section(&mut page, command, &title, 2);
        for inner in below(command) {
            section(&mut page, inner, &format!("{title} {}", inner.get_name()), 3);
        }
    }
    page.push_str("\n## Errors\n\nErrors go to stderr as `error[code]: ...` with a `help` line.\n\n| code | meaning |\n| --- | --- |\n");
    for kind in Kind::ALL {
        line(&mut page, format_args!("| [`{0}`](errors/{0}.md) | {1} |", kind.code(), kind.summary()));
    }
    page.push_str(
        "\nProblems inside a policy have their own codes. `doorward explain CODE` prints the page of each.\n",
    );
    page
}

/// The commands of a command that are shown.
fn below(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help")
}

fn section(page: &mut String, command: &Command, title: &str, level: usize) {
    let root = title == "doorward";
    line(page, format_args!("\n{} {title}\n", "#".repeat(level)));
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        line(page, format_args!("{about}.\n"));
    }
    for text in [command.get_before_help(), command.get_after_help()].into_iter().flatten() {
        line(page, format_args!("```text\n{text}\n```\n"));
    }
    line(page, format_args!("```text\n{}\n```\n", command.clone().render_usage().to_string().trim()));
    let shown = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let own: Vec<&Arg> = command.get_arguments().filter(shown).filter(|a| root || !a.is_global_set()).collect();
    if own.is_empty() {
        return;
    }
    page.push_str("| argument | what it does |\n| --- | --- |\n");
    for arg in own {
        line(page, format_args!("| `{}` | {} |", spelling(arg), meaning(arg)));
    }
}

fn spelling(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes = arg.get_action().takes_values();
    let more = if arg.get_num_args().is_some_and(|n| n.max_values() > 1) { "..." } else { "" };
    match arg.get_long() {
        Some(long) if takes => format!("--{long} {}{more}", values.join(" ")),
        Some(long) => format!("--{long}"),
        None => format!("{}{more}", values.join(" ")),
    }
}

fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let choices: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|v| !v.is_hide_set() && arg.get_action().takes_values())
        .map(|v| format!("`{}`", v.get_name()))
        .collect();
    if !choices.is_empty() {
        let _ = write!(text, ": {}", choices.join(", "));
    }
    let defaults: Vec<String> = arg.get_default_values().iter().map(|v| v.display().to_string()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " [default: `{}`]", defaults.join(" "));
    }
    text.replace('|', "\\|").replace('\n', " ")
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "{text}");
}
