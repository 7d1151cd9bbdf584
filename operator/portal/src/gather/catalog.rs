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
}

/// What the catalogue shows.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    /// A part of those that match.
    pub(crate) cards: Vec<Card>,
    /// How many match.
    pub(crate) found: usize,
    /// Every tag of products that this visitor sees, with how many have it; the most used first.
    pub(crate) tags: Vec<(String, usize)>,
    /// How many products there are without a search.
    pub(crate) all: usize,
}

/// What is looked for, and which part of it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) query: &'a Query,
    pub(crate) tag: Option<&'a str>,
    pub(crate) from: usize,
    pub(crate) most: usize,
}

/// Products that a visitor sees and that match.
pub(crate) fn catalog(
    core: &Core,
    person: Option<&Person>,
    wanted: Wanted<'_>,
    in_docs: &BTreeMap<Name, Found>,
) -> Catalog {
    let Wanted { query, tag, from, most } = wanted;
    let mut matching = Vec::new();
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
        if let Some(rank) = query.rank(name, product, in_docs.get(name)) {
            matching.push((rank, name, product, stage));
        }
    }
    matching.sort_by(|(rank, name, product, _), (other_rank, other_name, other, _)| {
        other_rank.cmp(rank).then_with(|| (&product.title, name).cmp(&(&other.title, other_name)))
    });
    let found = matching.len();
    let shown = matching.into_iter().skip(from).take(most);
    let cards = shown.map(|(_, name, product, stage)| {
        let plans = core.plans_of(name).filter(|plan| may(core, person, Action::See, &(*plan).clone().of(Kind::Plan)));
        Card {
            name: name.clone(),
            title: product.title.clone(),
            summary: markdown::plain(product.description.as_deref().unwrap_or_default(), 200),
            tags: product.tags.clone(),
            owner: product.owner.as_ref().map(|owner| owner.name.clone()),
            stage,
            plans: plans.count(),
            page: in_docs.get(name).filter(|_| query.only_in_docs(name, product)).map(|found| found.title.clone()),
        }
    });
    let cards = cards.collect();
    let mut tags: Vec<(String, usize)> = tags.into_iter().map(|(tag, count)| (tag.to_owned(), count)).collect();
    tags.sort_by(|(one, many), (other, more)| more.cmp(many).then_with(|| one.cmp(other)));
    Catalog { cards, found, tags, all }
}
