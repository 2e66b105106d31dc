//! `--explain EVENT`: one event of the traffic, with the whole path of each side.

use super::answer::{AnswerArgs, Format};
use super::find::find;
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::rehearsal::Plan;
use crate::cli::terminal::When;
use crate::diagnostics::did_you_mean;
use crate::pdp;
use crate::policy::mask_secrets;
use crate::report::Style;
use crate::report::simulate::event::{self, Told, ToldSide};
use crate::simulate::{Select, examine};

/// Exit code 0 when there is such an event.
pub(super) fn explain(plan: &Plan, wanted: &str, answer: AnswerArgs, color: When) -> Result<Answer, Failure> {
    if !matches!(answer.format, Format::Human | Format::Json) || !answer.reports.is_empty() {
        return Err(Failure::new(Kind::Usage, "one event is written as `human` or `json`")
            .help("leave --explain out for the other formats"));
    }
    let search = find(&plan.traffic, &[Select::parse(wanted)])?;
    let Some(Some(found)) = search.found.into_iter().next() else {
        let failure = Failure::new(
            Kind::UnknownName,
            format!("there is no event `{wanted}` among the {} that were read", search.events),
        );
        return Err(match did_you_mean(wanted, search.ids.iter().map(String::as_str)) {
            Some(near) => failure.help(format!("did you mean `{}`?", mask_secrets(near))),
            None => failure.help("name an event by its `id`, or by its place as `FILE:LINE`"),
        });
    };
    let Some(candidate) = plan.candidates.first() else {
        return Err(Failure::new(Kind::NothingToDo, "there is no policy to explain by"));
    };
    let mut terms = plan.terms.clone();
    terms.what_if.clone_from(&candidate.what_if);
    let claims = found.event.claims();
    let seen = found.event.observe(&claims);
    let examined = examine(&candidate.policy, plan.baseline.as_ref(), &terms, &seen);
    let (before, after) = (terms.before(seen.request), terms.after(seen.request));
    let baseline = plan.baseline.as_ref().map(|policy| ToldSide {
        digest: policy.digest().to_string(),
        explanation: pdp::explain(policy, &before),
        request: before,
    });
    let candidate = ToldSide {
        digest: candidate.policy.digest().to_string(),
        explanation: pdp::explain(&candidate.policy, &after),
        request: after,
    };
    let told = Told {
        source: &found.source,
        place: found.place,
        event: &found.event,
        examined: &examined,
        terms: &terms,
        baseline,
        candidate,
    };
    let text = match answer.format {
        Format::Json => event::json(&told),
        _ => event::human(&told, Style::new(answer.output.is_none() && color.on_stdout())),
    };
    Ok(Answer::yes(text).to(answer.output))
}
