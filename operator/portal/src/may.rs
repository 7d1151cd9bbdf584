//! Who may do what. Every page and every call of the API asks here, and nothing else decides.
//!
//! - Products and plans are seen by whom their `visibility` says; drafts, and plans made for one application, by their owners
//!   and by that application's team. Owners see what is theirs.
//! - **An owner** is who belongs to a Team of the namespace that the product or the plan is in: DESIGN.md gives owners their own
//!   namespace, and a Team says who works in it.
//! - Applications and their subscriptions belong to the Team that the application names, else to all Teams of its namespace.
//!   `access.teams` sees (`Read`) and changes (`Full`) them; `access.credentials` sees that keys are there, or has them.
//! - Requests are decided by the plan's approvers, and where it names none by owners with full access. Nobody decides about
//!   their own request, nor about their team's. A group cannot decide here: an Approval is a commit, and its author has none. So who
//!   is in a team by a group only does not decide for it, and may not answer its requests either.

use portico_core::Core;
use portico_core::batch::Author;
use portico_core::key::{Kind, Name, ObjectKey};
use portico_core::look;
use portico_crds::{Access, AccessLevel, ApproverKind, Audience, LifecycleStage, PlanSpec, Visibility};

use crate::people::Person;

/// What somebody wants to do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Know that it is there, and what it says.
    See,
    /// Have a part in it: subscribe to a plan.
    Use,
    /// Make it say something else.
    Change,
    /// Know who uses it, as its owner.
    Oversee,
    /// Answer a request, as its owner.
    Decide,
}

/// Whether a person, or somebody who is not signed in, may do something.
pub(crate) fn may(core: &Core, person: Option<&Person>, action: Action, object: &ObjectKey) -> bool {
    let name = &object.name;
    match (object.kind, action) {
        (Kind::ApiProduct, Action::See) => sees_product(core, person, name),
        (Kind::Plan, Action::See) => sees_plan(core, person, name),
        (_, _) if person.is_none() => false,
        (Kind::Plan, Action::Use) => sees_plan(core, person, name),
        (Kind::ApiProduct, Action::Oversee) => core.product(name).is_some_and(|_| {
            owns(person, name, AccessLevel::Read) || core.plans_of(name).any(|plan| oversees(core, person, plan))
        }),
        (Kind::Plan, Action::Oversee) => oversees(core, person, name),
        (Kind::Application, Action::See) => of_application(core, person, name).teams >= AccessLevel::Read,
        (Kind::Application, Action::Change) => of_application(core, person, name).teams >= AccessLevel::Full,
        (Kind::Subscription, Action::See) => {
            of_subscription(core, person, name).teams >= AccessLevel::Read || oversees_one(core, person, name)
        }
        (Kind::Subscription, Action::Change) => of_subscription(core, person, name).teams >= AccessLevel::Full,
        (Kind::Subscription, Action::Oversee) => oversees_one(core, person, name),
        (Kind::Subscription, Action::Decide) => person
            .is_some_and(|person| asked(core, name).iter().any(|plan| decides_about(core, person, name, plan).is_ok())),
        (Kind::Credential, Action::See) => of_credential(core, person, name).credentials >= AccessLevel::Read,
        (Kind::Credential, Action::Change) => of_credential(core, person, name).credentials >= AccessLevel::Full,
        (Kind::Team, Action::See) => person.is_some_and(|person| person.teams.iter().any(|one| one.team == *name)),
        (Kind::Team, Action::Change) => person.is_some_and(|person| person.access(name).teams >= AccessLevel::Full),
        _ => false,
    }
}

/// Whether somebody works for whoever owns an object.
fn owns(person: Option<&Person>, name: &Name, level: AccessLevel) -> bool {
    person.is_some_and(|person| person.access_in(name.namespace()).teams >= level)
}

fn sees_product(core: &Core, person: Option<&Person>, name: &Name) -> bool {
    let Some(product) = core.product(name) else { return false };
    owns(person, name, AccessLevel::Read)
        || (core.product_stage(name) != Some(LifecycleStage::Draft) && in_audience(&product.visibility, name, person))
}

fn sees_plan(core: &Core, person: Option<&Person>, name: &Name) -> bool {
    let Some(plan) = core.plan(name) else { return false };
    if oversees(core, person, name) {
        return true;
    }
    let products = || plan.products.iter().map(|product| look::resolve_product(product, name));
    if core.plan_stage(name) == Some(LifecycleStage::Draft)
        || !products().any(|product| sees_product(core, person, &product))
    {
        return false;
    }
    match &plan.custom_for {
        Some(application) => {
            let application = look::resolve(application, name);
            of_application(core, person, &application).teams >= AccessLevel::Read
        }
        None => in_audience(&plan.visibility, name, person),
    }
}

fn in_audience(visibility: &Visibility, of: &Name, person: Option<&Person>) -> bool {
    match (visibility.audience, person) {
        (Audience::Public, _) | (Audience::SignedIn, Some(_)) => true,
        (Audience::Hidden, _) | (_, None) => false,
        (Audience::Teams, Some(person)) => {
            let mut teams = visibility.teams.iter().map(|team| look::resolve(team, of));
            teams.any(|team| person.teams.iter().any(|one| one.team == team))
                || visibility.groups.iter().any(|group| person.groups.contains(group))
        }
    }
}

/// What somebody may do with an application and all that belongs to it.
fn of_application(core: &Core, person: Option<&Person>, name: &Name) -> Access {
    let (Some(person), Some(application)) = (person, core.application(name)) else { return Access::default() };
    match &application.team {
        Some(team) => person.access(&name.beside(&team.name)),
        None => person.access_in(name.namespace()),
    }
}

fn of_subscription(core: &Core, person: Option<&Person>, name: &Name) -> Access {
    let (Some(person), Some(spec)) = (person, core.subscription(name)) else { return Access::default() };
    let application = name.beside(&spec.application.name);
    match core.application(&application) {
        Some(_) => of_application(core, Some(person), &application),
        None => person.access_in(name.namespace()),
    }
}

fn of_credential(core: &Core, person: Option<&Person>, name: &Name) -> Access {
    let (Some(person), Some(_)) = (person, core.credential(name)) else { return Access::default() };
    match core.application_of(name) {
        Some(application) if core.application(&application).is_some() => {
            of_application(core, Some(person), &application)
        }
        _ => person.access_in(name.namespace()),
    }
}

/// Whether somebody may know who uses a plan.
fn oversees(core: &Core, person: Option<&Person>, plan: &Name) -> bool {
    let (Some(person), Some(spec)) = (person, core.plan(plan)) else { return false };
    owns(Some(person), plan, AccessLevel::Read) || is_approver(person, plan, spec)
}

/// Whether one of the plans that a subscription has, or asks for, is somebody's to look after.
fn oversees_one(core: &Core, person: Option<&Person>, subscription: &Name) -> bool {
    asked(core, subscription).iter().any(|plan| oversees(core, person, plan))
}

/// The plans that a subscription has or asks for. What waits is about the last of them.
pub(crate) fn asked(core: &Core, subscription: &Name) -> Vec<Name> {
    let Some(spec) = core.subscription(subscription) else { return Vec::new() };
    let change = spec.change.as_ref().map(|change| look::resolve(&change.plan, subscription));
    let mut plans: Vec<Name> = [look::resolve(&spec.plan, subscription)].into_iter().chain(change).collect();
    // Its file may name another one since.
    if let Some(granted) = core.granted(subscription).filter(|granted| !plans.contains(&granted.plan)) {
        plans.insert(0, granted.plan);
    }
    plans
}

fn is_approver(person: &Person, plan: &Name, spec: &PlanSpec) -> bool {
    spec.approval.approvers.iter().any(|approver| match approver.kind {
        ApproverKind::User => person.is(&approver.name),
        ApproverKind::Team => person.is_named_by(&plan.beside(&approver.name)),
        ApproverKind::Group => false,
    })
}

/// Whether somebody answers requests for a plan.
pub(crate) fn answers_for(core: &Core, person: &Person, plan: &Name) -> bool {
    let Some(spec) = core.plan(plan) else { return false };
    if spec.approval.approvers.is_empty() {
        person.access_by_name(plan.namespace()).teams >= AccessLevel::Full
    } else {
        is_approver(person, plan, spec)
    }
}

/// Whether somebody may know of the keys of an application, also of those that are gone.
pub(crate) fn sees_keys(core: &Core, person: Option<&Person>, application: &Name) -> bool {
    of_application(core, person, application).credentials >= AccessLevel::Read
}

/// Why somebody may not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecided {
    /// The plan has others for that.
    NotAnApprover,
    /// It is their own, or their team's.
    Own,
}

/// Whether somebody may grant what a subscription asks for.
pub(crate) fn decides(core: &Core, person: &Person, subscription: &Name) -> Result<(), Undecided> {
    match asked(core, subscription).last() {
        // What is asked for last is what waits, and what an answer is about.
        Some(plan) => decides_about(core, person, subscription, plan),
        None => Err(Undecided::NotAnApprover),
    }
}

/// Whether somebody may say whether a subscription has a plan.
pub(crate) fn decides_about(core: &Core, person: &Person, subscription: &Name, plan: &Name) -> Result<(), Undecided> {
    let decides = answers_for(core, person, plan);
    if !decides {
        return Err(Undecided::NotAnApprover);
    }
    let wrote = match core.author(&subscription.clone().of(Kind::Subscription)).map(|author| &**author) {
        Some(Author::Commit { mail, .. }) => person.is(mail),
        Some(Author::User { name, .. }) => person.is(name),
        Some(Author::Unknown(_)) | None => false,
    };
    let team = core.subscription(subscription).and_then(|spec| {
        let application = subscription.beside(&spec.application.name);
        let team = core.application(&application)?.team.as_ref()?.name.clone();
        Some(subscription.beside(team))
    });
    let theirs = team.is_some_and(|team| person.teams.iter().any(|membership| membership.team == team));
    if wrote || theirs { Err(Undecided::Own) } else { Ok(()) }
}
