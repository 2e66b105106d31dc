//! The pages that explain codes and reasons, which are part of the program.

use crate::diagnostics::Code;
use crate::model::Reason;

/// The page of a problem's code or a decision's reason, as Markdown.
pub fn page(name: &str) -> Option<&'static str> {
    Code::parse(name).map(Code::page).or_else(|| Reason::parse(name).map(Reason::page))
}

/// Every name that has a page with its one-line meaning: codes first, then reasons.
pub fn index() -> impl Iterator<Item = (&'static str, &'static str)> {
    let codes = Code::ALL.iter().map(|code| (code.as_str(), code.summary()));
    codes.chain(Reason::ALL.iter().map(|reason| (reason.code(), reason.text())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_code_has_the_name_of_a_reason() {
        let names: BTreeSet<_> = index().map(|(name, _)| name).collect();
        assert_eq!(names.len(), index().count());
    }

    #[test]
    fn a_page_is_found_by_its_name() {
        assert!(page("unknown-key").unwrap().starts_with("# `unknown-key`\n"));
        assert!(page("no-grant").unwrap().starts_with("# `no-grant`\n"));
        assert_eq!(page("nonsense"), None);
    }
}
