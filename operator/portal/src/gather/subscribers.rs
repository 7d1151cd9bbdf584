//! Who uses a plan, or any plan of a product.

use jiff::Timestamp;
use portico_core::Core;
use portico_core::key::{Kind, Name};

use super::inbox;
use super::state::{self, Standing};
use crate::may::{Action, may};
use crate::people::Person;
use crate::shared::Reading;

/// So many are looked at, before whoever wants to change something has a turn.
const AT_ONCE: usize = 1_000;

/// Somebody who uses a plan.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) subscription: Name,
    pub(crate) application: String,
    pub(crate) team: Option<String>,
    /// The title of the plan that it has, or asks for.
    pub(crate) plan: String,
    pub(crate) standing: Standing,
    pub(crate) since: Option<Timestamp>,
}

/// A part of a list of subscribers, and how many there are in all parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscribers {
    pub(crate) part: Vec<Subscriber>,
    pub(crate) all: usize,
}

/// Subscriptions to a plan, in order of their names.
pub(crate) fn to_plan(core: &Core, plan: &Name) -> Vec<Name> {
    core.subscriptions_to(plan).cloned().collect()
}

/// Subscriptions to those plans of a product that somebody looks after, in order of their names.
pub(crate) fn to_product(core: &Core, person: Option<&Person>, product: &Name) -> Vec<Name> {
    let plans = core.plans_of(product);
    let mine = plans.filter(|plan| may(core, person, Action::Oversee, &(*plan).clone().of(Kind::Plan)));
    let mut names: Vec<Name> = mine.flat_map(|plan| core.subscriptions_to(plan).cloned()).collect();
    names.sort();
    // One that goes from one plan to another stands at both.
    names.dedup();
    names
}

/// Those of some subscriptions whose application or team has every word of a search in its name.
pub(crate) fn find(
    reading: &Reading,
    person: Option<&Person>,
    names: &[Name],
    search: &str,
    (from, most): (usize, usize),
) -> Subscribers {
    let words: Vec<String> = search.to_lowercase().split_whitespace().take(8).map(str::to_owned).collect();
    if words.is_empty() {
        let end = names.len().min(from.saturating_add(most));
        let wanted = names.get(from..end).unwrap_or_default();
        let part = reading.look(|core| wanted.iter().filter_map(|name| subscriber(core, person, name)).collect());
        return Subscribers { part, all: names.len() };
    }
    let mut found = Subscribers::default();
    for some in names.chunks(AT_ONCE) {
        reading.look(|core| {
            for name in some.iter().filter(|name| matches(core, name, &words)) {
                if (from..from.saturating_add(most)).contains(&found.all) {
                    found.part.extend(subscriber(core, person, name));
                }
                found.all += 1;
            }
        });
    }
    found
}

fn matches(core: &Core, name: &Name, words: &[String]) -> bool {
    let Some(spec) = core.subscription(name) else { return false };
    let application = name.beside(&spec.application.name);
    let title = core.application(&application).map_or("", |spec| spec.title.as_str());
    let team = inbox::team(core, &application).unwrap_or_default();
    let text = format!("{title}\n{team}\n{name}").to_lowercase();
    words.iter().all(|word| text.contains(word))
}

fn subscriber(core: &Core, person: Option<&Person>, name: &Name) -> Option<Subscriber> {
    let spec = core.subscription(name)?;
    let application = name.beside(&spec.application.name);
    let standing = state::subscription(core, name)?;
    let plan = standing.plan.clone().or_else(|| crate::may::asked(core, name).into_iter().next())?;
    Some(Subscriber {
        subscription: name.clone(),
        application: core.application(&application).map_or_else(|| application.to_string(), |spec| spec.title.clone()),
        team: inbox::team(core, &application),
        plan: core
            .plan(&plan)
            .filter(|_| may(core, person, Action::See, &plan.clone().of(Kind::Plan)))
            .map_or_else(|| plan.to_string(), |plan| plan.title.clone()),
        standing,
        since: core.created(&name.clone().of(Kind::Subscription)),
    })
}
