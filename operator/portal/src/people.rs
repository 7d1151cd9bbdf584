//! Who is who: from a mail address to what the repository says of that person.
//!
//! A person is let in who has an account that is approved. Who has no account is let in where the repository names them
//! nevertheless, as a member of a Team, through a group of the identity provider that a Team names, or as an approver of a Plan. Teams
//! are looked up with every request, so what is taken away is gone at once. Groups are those that the provider told at sign-in.

use std::collections::{BTreeMap, BTreeSet};

use portico_core::Core;
use portico_core::key::Name;
use portico_crds::{Access, AccessLevel, ApproverKind, DeveloperState};

/// Somebody who is signed in and let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// As the identity provider has it. It becomes the author of commits.
    pub(crate) mail: String,
    pub(crate) name: String,
    /// Groups of the identity provider.
    pub(crate) groups: Vec<String>,
    pub(crate) teams: Vec<Membership>,
}

/// That somebody belongs to a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) team: Name,
    pub(crate) title: String,
    pub(crate) access: Access,
    /// What of that the Team gives to them by name. It is in Git, so that commits of theirs count as a member's; of groups only their
    /// session knows.
    pub(crate) named: Option<Access>,
}

/// What is known of somebody from signing in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) mail: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) groups: &'a [String],
    /// Whether having signed in is enough to be let in.
    pub(crate) is_enough: bool,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing is known of this address.
    Unknown,
    /// The account waits for approval.
    Pending,
    /// The account was turned down.
    Rejected,
    /// The account is suspended.
    Suspended,
}

impl Refusal {
    /// In a sentence for that person.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Refusal::Unknown => "There is no account for this address. Ask whoever runs this portal to let you in.",
            Refusal::Pending => "Your account waits for approval. You can sign in once somebody has approved it.",
            Refusal::Rejected => {
                "Your account was turned down. Ask whoever runs this portal if you think that is wrong."
            }
            Refusal::Suspended => "Your account is suspended. Ask whoever runs this portal.",
        }
    }
}

impl Person {
    /// The most that this person may do for a team, by area.
    pub(crate) fn access(&self, team: &Name) -> Access {
        self.most(|membership| membership.team == *team)
    }

    /// The most that this person may do in a namespace, by any of its teams.
    pub(crate) fn access_in(&self, namespace: &str) -> Access {
        self.most(|membership| membership.team.namespace() == namespace)
    }

    /// The same by teams that name this person: what a commit of theirs counts for.
    pub(crate) fn access_by_name(&self, namespace: &str) -> Access {
        let near = self.teams.iter().filter(|membership| membership.team.namespace() == namespace);
        near.filter_map(|membership| membership.named).fold(Access::default(), most)
    }

    /// Whether a team names this person as a member.
    pub(crate) fn is_named_by(&self, team: &Name) -> bool {
        self.teams.iter().any(|membership| membership.team == *team && membership.named.is_some())
    }

    fn most(&self, which: impl Fn(&Membership) -> bool) -> Access {
        let matching = self.teams.iter().filter(|membership| which(membership)).map(|membership| membership.access);
        matching.fold(Access::default(), most)
    }

    /// Whether an address is this person's.
    pub(crate) fn is(&self, mail: &str) -> bool {
        self.mail.eq_ignore_ascii_case(mail)
    }
}

/// Looks somebody up.
pub(crate) fn find(core: &Core, known: Known<'_>) -> Result<Person, Refusal> {
    let Known { mail, name, groups, is_enough } = known;
    let accounts = core.accounts(mail);
    for (_, account) in &accounts {
        match account.state {
            DeveloperState::Approved => {}
            DeveloperState::Pending => return Err(Refusal::Pending),
            DeveloperState::Rejected => return Err(Refusal::Rejected),
            DeveloperState::Suspended => return Err(Refusal::Suspended),
        }
    }
    let teams = memberships(core, mail, groups);
    if accounts.is_empty() && teams.is_empty() && !is_enough && !approves(core, mail) {
        return Err(Refusal::Unknown);
    }
    let account = accounts.iter().find_map(|(_, account)| account.name.as_deref());
    let name = name.or(account).map_or_else(|| called(mail), str::to_owned);
    Ok(Person { mail: mail.to_owned(), name, groups: groups.to_vec(), teams })
}

/// The teams that somebody belongs to, in order of their names: by name, and by groups.
fn memberships(core: &Core, mail: &str, groups: &[String]) -> Vec<Membership> {
    let by_name = core.teams_of(mail);
    let by_group = groups.iter().flat_map(|group| core.teams_of_group(group));
    let teams: BTreeSet<&Name> = by_name.into_iter().chain(by_group).collect();
    let memberships = teams.into_iter().filter_map(|team| {
        let spec = core.team(team)?;
        let members = spec.members.iter().filter(|member| member.mail.eq_ignore_ascii_case(mail));
        let named = members.map(|member| member.access).reduce(most);
        let theirs = spec.groups.iter().filter(|group| groups.contains(&group.name)).map(|group| group.access);
        let access = named.into_iter().chain(theirs).reduce(most)?;
        Some(Membership { team: team.clone(), title: spec.title.clone(), access, named })
    });
    memberships.collect()
}

/// What one of two lets.
fn most(one: Access, other: Access) -> Access {
    Access {
        teams: one.teams.max(other.teams),
        credentials: one.credentials.max(other.credentials),
        billing: one.billing.max(other.billing),
    }
}

/// Whether a plan names somebody as an approver.
fn approves(core: &Core, mail: &str) -> bool {
    core.plans().any(|(_, plan)| {
        let approvers = &plan.approval.approvers;
        approvers.iter().any(|one| one.kind == ApproverKind::User && one.name.eq_ignore_ascii_case(mail))
    })
}

/// What to call somebody of whom only the address is known: `sara.lee@acme.example` is Sara Lee.
fn called(mail: &str) -> String {
    let local = mail.split('@').next().unwrap_or(mail);
    let words = local.split(['.', '_', '-', '+']).filter(|word| !word.is_empty());
    let capital = |word: &str| {
        let mut characters = word.chars();
        let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        first + characters.as_str()
    };
    let words: Vec<String> = words.map(capital).collect();
    if words.is_empty() { mail.to_owned() } else { words.join(" ") }
}

/// Somebody whom the repository names, for a sign-in that asks for no proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) mail: String,
    pub(crate) name: String,
    /// What they are, in words.
    pub(crate) roles: Vec<String>,
}

/// Everybody whom the repository names and who would be let in, in order of their addresses.
pub(crate) fn declared(core: &Core) -> Vec<Declared> {
    let mut roles: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut teams: Vec<_> = core.teams().collect();
    teams.sort_by_key(|(name, _)| *name);
    for (_, team) in teams {
        for member in &team.members {
            let can = match (member.access.teams, member.access.credentials) {
                (AccessLevel::Full, AccessLevel::Full) => "everything",
                (AccessLevel::Full, _) => "everything but keys",
                (AccessLevel::Read, AccessLevel::Full) => "reads, and has the keys",
                (AccessLevel::Read, _) => "reads",
                (AccessLevel::None, _) => "little",
            };
            roles.entry(member.mail.to_lowercase()).or_default().push(format!("Team {}: {can}", team.title));
        }
    }
    let mut plans: Vec<_> = core.plans().collect();
    plans.sort_by_key(|(name, _)| *name);
    for (_, plan) in plans {
        for approver in plan.approval.approvers.iter().filter(|one| one.kind == ApproverKind::User) {
            let role = format!("approves requests for {}", plan.title);
            roles.entry(approver.name.to_lowercase()).or_default().push(role);
        }
    }
    let known = |mail: &str| find(core, Known { mail, name: None, groups: &[], is_enough: false });
    let people = roles.into_iter().filter_map(|(mail, roles)| {
        let person = known(&mail).ok()?;
        Some(Declared { mail, name: person.name, roles })
    });
    people.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_make_names() {
        assert_eq!(called("sara.lee@acme.example"), "Sara Lee");
        assert_eq!(called("olga@acme.example"), "Olga");
        assert_eq!(called("élodie_n@acme.example"), "Élodie N");
        assert_eq!(called("@acme.example"), "@acme.example");
    }
}
