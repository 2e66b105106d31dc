//! What-ifs as flags: one candidate of all of them, or a matrix of their combinations.

use super::failure::{Failure, Kind};
use crate::policy::WhatIf;

/// The most combinations of one matrix.
const MOST: usize = 64;

/// What to change without editing the policy.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "What if")]
pub(super) struct WhatIfArgs {
    /// Set a key over the policy and its profile, as `servers.tickets.token_ttl=10m` or
    /// `grants.NAME.expires=2027-01-01`; may be given again
    #[arg(long, value_name = "PATH=VALUE")]
    pub(super) set: Vec<String>,
    /// Leave a grant out; may be given again
    #[arg(long, value_name = "NAME")]
    pub(super) drop_grant: Vec<String>,
    /// Leave a deny out; may be given again
    #[arg(long, value_name = "NAME")]
    pub(super) drop_deny: Vec<String>,
    /// Let a token scope carry nothing; may be given again
    #[arg(long, value_name = "SCOPE")]
    pub(super) drop_scope: Vec<String>,
}

impl WhatIfArgs {
    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.each().is_empty()
    }

    fn each(&self) -> Vec<WhatIf> {
        let sets = self.set.iter().cloned().map(WhatIf::Set);
        let grants = self.drop_grant.iter().cloned().map(WhatIf::DropGrant);
        let denies = self.drop_deny.iter().cloned().map(WhatIf::DropDeny);
        let scopes = self.drop_scope.iter().cloned().map(WhatIf::DropScope);
        sets.chain(grants).chain(denies).chain(scopes).collect()
    }

    /// What-ifs of which alternatives are together, in the order of the flags.
    fn axes(&self) -> Vec<Vec<WhatIf>> {
        let mut axes: Vec<(Vec<String>, Vec<WhatIf>)> = Vec::new();
        for one in self.each() {
            let subject = one.subject();
            match axes.iter_mut().find(|(known, _)| *known == subject) {
                Some((_, alternatives)) if alternatives.contains(&one) => {}
                Some((_, alternatives)) => alternatives.push(one),
                None => axes.push((subject, vec![one])),
            }
        }
        axes.into_iter().map(|(_, alternatives)| alternatives).collect()
    }

    /// All of them together.
    pub(super) fn together(&self) -> Result<Vec<WhatIf>, Failure> {
        let mut all = Vec::new();
        for alternatives in self.axes() {
            match <[WhatIf; 1]>::try_from(alternatives) {
                Ok([one]) => all.push(one),
                Err(several) => {
                    let several: Vec<String> = several.iter().map(|one| format!("`{one}`")).collect();
                    return Err(Failure::new(Kind::Usage, format!("{} set one thing twice", several.join(" and ")))
                        .help("take one of them, or compare them as alternatives with --matrix"));
                }
            }
        }
        Ok(all)
    }

    /// Every combination in which each subject is as it stands or one of its alternatives: fewer
    /// changes first, then in the order of the flags. The one without any change comes first.
    pub(super) fn combinations(&self) -> Result<Vec<Vec<WhatIf>>, Failure> {
        let mut all: Vec<Vec<WhatIf>> = vec![Vec::new()];
        for alternatives in self.axes() {
            if all.len().saturating_mul(alternatives.len() + 1) > MOST + 1 {
                return Err(Failure::new(Kind::Usage, format!("the matrix has more than {MOST} combinations"))
                    .help("give fewer alternatives, or rehearse them one after the other"));
            }
            let with = |one: &WhatIf| {
                let one = one.clone();
                all.iter().map(move |before| before.iter().cloned().chain([one.clone()]).collect()).collect::<Vec<_>>()
            };
            let more: Vec<Vec<WhatIf>> = alternatives.iter().flat_map(with).collect();
            all.extend(more);
        }
        all.sort_by_key(Vec::len);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(set: &[&str], drop: &[&str]) -> WhatIfArgs {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        WhatIfArgs { set: owned(set), drop_grant: owned(drop), ..WhatIfArgs::default() }
    }

    #[test]
    fn a_matrix_has_each_alternative_on_its_own_and_combined() {
        let all = args(&["a.b=1", "a.'b'=2", "a.b=1"], &["g"]).combinations().unwrap();
        let shown: Vec<String> =
            all.iter().map(|c| c.iter().map(WhatIf::to_string).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            shown,
            [
                "",
                "--set a.b=1",
                "--set a.'b'=2",
                "--drop-grant g",
                "--set a.b=1 --drop-grant g",
                "--set a.'b'=2 --drop-grant g"
            ]
        );
    }

    #[test]
    fn without_a_matrix_one_thing_is_set_once_and_a_matrix_is_bounded() {
        assert!(args(&["a=1", "a=2"], &[]).together().is_err());
        assert_eq!(args(&["a=1", "a=1", "b=1"], &[]).together().unwrap().len(), 2);
        let six = ["a", "b", "c", "d", "e", "f"];
        assert_eq!(args(&[], &six).combinations().unwrap().len(), 64);
        assert!(args(&["x=1"], &six).combinations().is_err());
    }
}
