//! What of a subject and of a token a policy can see, for whoever judges many requests and remembers answers.
//!
//! It never judges. It says which statements are about the subject, in the order in which a judgement
//! comes to them, and how the lists of the token come out of the checks that look at them.

use super::evaluate::{Case, Checks, Groups, resolve};
use super::selector::selects;
use super::token::audience;
use super::truth::Truth;
use crate::model::{Fact, FactSet, Request};
use crate::policy::set::Statement;
use crate::policy::{CompiledPolicy, Entry};

/// Writes all that the policy sees of the subject of a request, as numbers that mean something only beside
/// others of the same policy in the same place.
///
/// Where two requests differ in their subjects alone and the same is written of both, they are judged
/// alike and covered by the same statements, and so they are where both get other arguments, another
/// time or another token. Gives the [`token_stance`] beside it.
pub(crate) fn stance(policy: &CompiledPolicy, request: &Request<'_>, out: &mut Vec<u64>) -> u8 {
    let Ok(case) = resolve(policy, request) else { return 0 };
    out.push(fact(case.standard().issuer.map(place)));
    out.push(fact(case.caller.map(place)));
    let groups = Groups::of(request);
    let set = policy.set();
    let mut list = |statements: &[Statement], (filed, target, at_door)| {
        case.each(filed, &groups, &mut |entry, selected| {
            let Some(statement) = statements.get(entry.statement as usize) else { return };
            let about = if selected { Truth::Yes } else { selects(&statement.to, &request.subject, case.caller) };
            write(out, entry, about, policy.index().rules(entry, target, at_door).map(place));
        });
        out.push(END);
    };
    case.filed_grants().for_each(|place| list(&set.grants, place));
    case.filed_denies().for_each(|place| list(&set.denies, place));
    lists_of_token(&case, request)
}

/// What the policy sees of the lists of a token, as a number below 16.
///
/// Where two requests of one [`stance`] differ in the audience and the scopes of their tokens alone and this number is
/// the same, they are judged alike, also with other arguments or at another time.
pub(crate) fn token_stance(policy: &CompiledPolicy, request: &Request<'_>) -> u8 {
    resolve(policy, request).map_or(0, |case| lists_of_token(&case, request))
}

fn lists_of_token(case: &Case<'_, '_>, request: &Request<'_>) -> u8 {
    let (mut of_audience, mut of_scopes) = (Checks::default(), Checks::default());
    audience(&case.standard(), request, &mut of_audience);
    case.check_scope(&mut of_scopes);
    let number = |checks: &Checks<'_>| match checks.outcome() {
        (Some(_), _) => 1,
        (None, missing) if missing.is_empty() => 0,
        (None, missing) if missing.facts.contains(FactSet::ISSUER) => 2,
        (None, _) => 3,
    };
    number(&of_audience) << 2 | number(&of_scopes)
}

/// What ends a list. No statement has this number.
const END: u64 = u64::MAX;

fn write(out: &mut Vec<u64>, entry: &Entry, about: Truth<'_>, rules: impl Iterator<Item = u64>) {
    let about = match about {
        Truth::No => return,
        Truth::Yes => 0,
        Truth::Unknown(missing) => 1 + u64::from(missing.facts.bits()),
    };
    let at = out.len();
    out.extend([u64::from(entry.statement), about, 0]);
    out.extend(rules);
    let rules = (out.len() - at) as u64;
    out.get_mut(at + 2).into_iter().for_each(|count| *count = rules);
}

/// A fact as a number. Nothing stands at so low a place.
fn fact(place: Fact<u64>) -> u64 {
    match place {
        Fact::Absent => 0,
        Fact::Unknown => 1,
        Fact::Known(place) => place,
    }
}

/// Where something stands: one number for one thing, as long as the policy is there.
fn place<T: ?Sized>(thing: &T) -> u64 {
    std::ptr::from_ref(thing).cast::<u8>().addr() as u64
}
