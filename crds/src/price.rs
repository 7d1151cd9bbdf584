//! What a plan costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a plan costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// The currency by its three letters (ISO 4217), for example `EUR`.
    #[schemars(length(min = 3, max = 3), regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
    /// `Flat` is the amount and nothing else. `Graduated` charges each request at the price of the tier it falls in.
    /// `Volume` charges all requests at the price of the tier that the last one falls in. `Overage` is the amount for
    /// what is included, and tiers for what goes beyond.
    #[serde(default)]
    pub model: PriceModel,
    /// How often it is charged.
    #[serde(default)]
    pub interval: Interval,
    /// The amount for each interval, for example `49.00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"))]
    pub amount: Option<String>,
    /// An amount that is charged once, for example `100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"))]
    pub setup_fee: Option<String>,
    /// Prices by number of requests, the smallest number first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tiers: Vec<PriceTier>,
    /// How many requests are included in the amount for each interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub included: Option<i64>,
    /// Whether requests are paid from credits that were bought before.
    #[serde(default)]
    pub credits: bool,
}

/// How a price depends on the number of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum PriceModel {
    /// Not at all.
    #[default]
    Flat,
    /// Each request costs what its tier says.
    Graduated,
    /// All requests cost what the last one's tier says.
    Volume,
    /// Requests beyond those included cost what tiers say.
    Overage,
}

/// How often a price is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Interval {
    /// Every month.
    #[default]
    Month,
    /// Every year.
    Year,
}

/// A price for some number of requests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceTier {
    /// The last request that it is for, counted within the interval. Left out in the last tier: all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub up_to: Option<i64>,
    /// What one request costs, for example `0.002`.
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"))]
    pub unit_amount: String,
    /// What reaching this tier costs, for example `10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"))]
    pub flat_amount: Option<String>,
}

/// For plans that are sold by talking to somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// What stands where the price would, for example `Tailored to your volume`.
    #[schemars(length(min = 1, max = 256))]
    pub text: String,
    /// What the button says, for example `Talk to us`.
    #[schemars(length(min = 1, max = 64))]
    pub call_to_action: String,
    /// Where the button leads: `https://…` or `mailto:…`.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|mailto:)"))]
    pub url: String,
}
