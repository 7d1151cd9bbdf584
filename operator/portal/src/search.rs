//! Finding products by words: in names, descriptions, tags and documentation.
//!
//! Names and descriptions are read as they are at the moment. Documentation is read from files, so its words are kept, and
//! are a few seconds old at most.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portico_core::key::Name;
use portico_crds::ApiProductSpec;
use tokio::sync::Mutex;

use crate::gather::product::{is_for_subscribers, published};
use crate::portal::Portal;

/// So long the words of documentation are used before files are looked at again.
const AGE: Duration = Duration::from_secs(5);
/// So much of a page is searched.
const MOST: usize = 64 * 1024;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    words: Vec<String>,
}

/// A page of documentation that has all words.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) title: String,
}

/// The words of all documentation that everyone may read who sees its product.
#[derive(Debug, Default)]
pub(crate) struct Search {
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    revision: Option<String>,
    at: Option<Instant>,
    /// By product: title and text in lower case.
    texts: BTreeMap<Name, Vec<(String, String)>>,
}

impl Query {
    /// The words of a text, in any order.
    pub(crate) fn new(text: &str) -> Query {
        Query { words: text.to_lowercase().split_whitespace().take(8).map(str::to_owned).collect() }
    }

    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How well a product matches; `None` if it does not. Every word has to be somewhere.
    pub(crate) fn rank(&self, name: &Name, product: &ApiProductSpec, in_docs: Option<&Found>) -> Option<u32> {
        let mut rank = 0;
        for word in &self.words {
            match self.own(word, name, product) {
                0 if in_docs.is_none() => return None,
                0 => rank += 1,
                own => rank += own,
            }
        }
        Some(rank)
    }

    /// Whether it is the documentation that matches.
    pub(crate) fn only_in_docs(&self, name: &Name, product: &ApiProductSpec) -> bool {
        self.words.iter().any(|word| self.own(word, name, product) == 0)
    }

    fn own(&self, word: &str, name: &Name, product: &ApiProductSpec) -> u32 {
        let has = |text: &str| text.to_lowercase().contains(word);
        let title = product.title.to_lowercase();
        let begins = title.split_whitespace().any(|part| part.starts_with(word));
        u32::from(begins) * 8
            + u32::from(title.contains(word)) * 4
            + u32::from(product.tags.iter().any(|tag| has(tag))) * 4
            + u32::from(has(name.name())) * 3
            + u32::from(product.description.as_deref().is_some_and(has)) * 2
    }
}

impl Search {
    /// Products whose documentation has some words that they themselves have not. The page that has most of them is told.
    pub(crate) async fn in_docs(&self, portal: &Portal, query: &Query) -> BTreeMap<Name, Found> {
        if query.is_empty() {
            return BTreeMap::new();
        }
        let mut pages = self.pages.lock().await;
        pages.refresh(portal).await;
        let mut found = BTreeMap::new();
        for (product, pages) in &pages.texts {
            let count = |text: &str| query.words.iter().filter(|word| text.contains(*word)).count();
            let best = pages.iter().map(|(title, text)| (count(text), title)).max_by_key(|(count, _)| *count);
            if let Some((count, title)) = best.filter(|(count, _)| *count == query.words.len()) {
                debug_assert!(count > 0);
                found.insert(product.clone(), Found { title: title.clone() });
            }
        }
        found
    }
}

impl Pages {
    async fn refresh(&mut self, portal: &Portal) {
        if self.at.is_some_and(|at| at.elapsed() < AGE) {
            return;
        }
        let revision = portal.host.revision().await;
        self.at = Some(Instant::now());
        if revision.is_some() && revision == self.revision {
            return;
        }
        let wanted = portal.reading.look(|core| {
            let mut wanted = Vec::new();
            for (name, product) in core.products() {
                for page in published(product).into_iter().filter(|page| !is_for_subscribers(product, page)) {
                    wanted.push((name.clone(), page.title.clone(), page.path.clone()));
                }
            }
            wanted
        });
        let mut pages: BTreeMap<Name, Vec<(String, String)>> = BTreeMap::new();
        for (name, title, path) in wanted {
            match portal.host.file(&name, &path).await {
                Ok(Some(bytes)) => {
                    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).to_lowercase();
                    let text = format!("{}\n{text}", title.to_lowercase());
                    pages.entry(name).or_default().push((title, text));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(product = %name, path, %error, "a page is not searched"),
            }
        }
        self.texts = pages;
        self.revision = revision;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(title: &str, description: &str, tags: &[&str]) -> ApiProductSpec {
        serde_json::from_value(serde_json::json!({ "title": title, "description": description, "tags": tags })).unwrap()
    }

    #[test]
    fn every_word_has_to_be_somewhere() {
        let (name, weather) = (Name::new("w", "weather"), product("Weather", "Forecasts for cities", &["open data"]));
        let rank = |text: &str| Query::new(text).rank(&name, &weather, None);
        assert!(rank("").is_some());
        assert!(rank("WEATHER city").is_none(), "the text says cities");
        assert!(rank("forecast cit").is_some(), "the beginning of a word will do");
        assert!(rank("weather") > rank("forecast"), "a title says more than a description");
        assert!(rank("snow").is_none());
        let found = Found { title: "Snow".to_owned() };
        assert!(Query::new("snow").rank(&name, &weather, Some(&found)).is_some());
        assert!(Query::new("snow").only_in_docs(&name, &weather));
    }
}
