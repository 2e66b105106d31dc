//! What of a request is kept with its row, so that a policy can judge it again.
//!
//! Of the arguments those are kept that a rule of the policy reads or that the tool declares under
//! `capture`; of the others it is only said that they were there. What the tool declares under `redact` is
//! taken out, whoever reads it, and so are values that look like what `[audit]` names under `redact`, and
//! secrets that can be known.

use serde_json::Map;

use crate::audit::{Asker, EventText};
use crate::model::{Action, Request, ResourceKind, Withheld, WithheldBecause};
use crate::policy::CompiledPolicy;
use crate::simulate::Asked;
use crate::traffic::{Event, Field, Keep, Wants as _};

/// How many arguments may be left out by name, and how long such a name may be. Beyond it nothing is kept.
const LEFT_OUT: (usize, usize) = (64, 128);

/// What was said of a request beside what the policy was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) method: &'a str,
    pub(super) era: Option<&'a str>,
    /// The digest of the session id.
    pub(super) session: Option<&'a str>,
}

/// The event of a request, as a line of a recording holds it; none when it must not be kept. `asker` is of the
/// token that came with it.
pub(super) fn event(
    policy: &CompiledPolicy,
    request: &Request<'_>,
    Said { method, era, session }: Said<'_>,
    asker: &Asker,
) -> Option<EventText> {
    let Request { resource, context, action, .. } = request;
    let mut event = Event::new(context.now, resource.door, *action, resource.name);
    // What is no request of its own, such as a notification, was asked as another method: a policy that
    // judges it again must be asked the same.
    if Action::from_method(method) == *action {
        method.clone_into(&mut event.method);
    }
    event.kind = resource.kind;
    let text = |text: Option<&str>| text.map_or(Field::Absent, |text| Field::Present(text.to_owned()));
    event.era = text(era);
    event.session = text(session);
    arguments(policy, request, &mut event);
    event.redact().ok()?;
    Some(EventText::asked_by(asker, &event))
}

/// The arguments that somebody will look at.
fn arguments(policy: &CompiledPolicy, request: &Request<'_>, event: &mut Event) {
    let Some(object) = request.context.arguments.object else {
        event.arguments = Field::Absent;
        return;
    };
    let Request { resource, .. } = request;
    let declared = policy.set().servers.get(resource.door).and_then(|server| match resource.kind {
        ResourceKind::Tool => server.tools.get(resource.name),
        ResourceKind::Prompt => server.prompts.get(resource.name),
        ResourceKind::Server | ResourceKind::Resource => None,
    });
    let captured: Vec<&str> =
        declared.iter().flat_map(|item| &item.capture).filter_map(|path| path.segments().next()).collect();
    let asked = Asked::by([policy]).wants(resource);
    let (mut kept, mut left_out) = (Map::new(), Vec::new());
    for (name, value) in object {
        let is_asked = match &asked {
            Keep::All => true,
            Keep::Named(names) => names.contains(name),
        };
        if is_asked || captured.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
        } else {
            left_out.push(name);
        }
    }
    if left_out.len() > LEFT_OUT.0 || left_out.iter().any(|name| name.len() > LEFT_OUT.1) {
        event.arguments = Field::NotRecorded;
        return;
    }
    event.withheld = left_out
        .into_iter()
        .map(|name| Withheld {
            pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
            because: WithheldBecause::NotRecorded,
        })
        .collect();
    event.arguments = Field::Present(kept);
    for path in declared.iter().flat_map(|item| &item.redact) {
        event.redact_at(path);
    }
    let out = &policy.set().audit.redact;
    if !out.is_empty() {
        event.redact_where(&|text| out.iter().any(|glob| glob.matches(text)));
    }
}
