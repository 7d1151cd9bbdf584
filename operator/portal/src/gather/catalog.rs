//! The catalogue: products that somebody sees.

use std::collections::BTreeMap;

use portico_core::Core;
use portico_core::key::{Kind, Name};
use portico_crds::LifecycleStage;

use crate::markdown;
use crate::may::{Action, may};
use crate::people::Person;
use crate::search::{Found, Query};

/// A product in the catalogue.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub(crate) name: Name,
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) tags: Vec<String>,
    pub(crate) owner: Option<String>,
    pub(crate) stage: LifecycleStage,
    pub(crate) plans: usize,
    /// Where in the documentation it was found, if only there.
    pub(crate) page: Option<String>,
    rank: u32,
}

/// What the catalogue shows.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    pub(crate) cards: Vec<Card>,
    /// Every tag of products that this visitor sees, with how many have it; the most used first.
    pub(crate) tags: Vec<(String, usize)>,
    /// How many products there are without a search.
    pub(crate) all: usize,
}

/// Products that a visitor sees and that match.
pub(crate) fn catalog(
    core: &Core,
    person: Option<&Person>,
    query: &Query,
    tag: Option<&str>,
    in_docs: &BTreeMap<Name, Found>,
) -> Catalog {
    let mut cards = Vec::new();
    let mut tags: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = 0;
    for (name, product) in core.products() {
        let stage = core.product_stage(name).unwrap_or(product.lifecycle.stage);
        if stage == LifecycleStage::Retired || !may(core, person, Action::See, &name.clone().of(Kind::ApiProduct)) {
            continue;
        }
        all += 1;
        for tag in &product.tags {
            *tags.entry(tag).or_default() += 1;
        }
        if tag.is_some_and(|tag| !product.tags.iter().any(|one| one == tag)) {
            continue;
        }
        let found = in_docs.get(name);
        let Some(rank) = query.rank(name, product, found) else { continue };
        let plans = core.plans_of(name).filter(|plan| may(core, person, Action::See, &(*plan).clone().of(Kind::Plan)));
        cards.push(Card {
            name: name.clone(),
            title: product.title.clone(),
            summary: markdown::plain(product.description.as_deref().unwrap_or_default(), 200),
            tags: product.tags.clone(),
            owner: product.owner.as_ref().map(|owner| owner.name.clone()),
            stage,
            plans: plans.count(),
            page: found.filter(|_| query.only_in_docs(name, product)).map(|found| found.title.clone()),
            rank,
        });
    }
    cards.sort_by(|one, other| {
        other.rank.cmp(&one.rank).then_with(|| (&one.title, &one.name).cmp(&(&other.title, &other.name)))
    });
    let mut tags: Vec<(String, usize)> = tags.into_iter().map(|(tag, count)| (tag.to_owned(), count)).collect();
    tags.sort_by(|(one, many), (other, more)| more.cmp(many).then_with(|| one.cmp(other)));
    Catalog { cards, tags, all }
}
