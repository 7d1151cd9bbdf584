//! What holds, in words that people use.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use portico_crds::{
    Interval, LifecycleStage, Limit, Period, Phase, PlanSpec, Price, PriceModel, Security, Stage, SubscriptionStage,
};

/// How something stands, for the colour of its badge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
    Info,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Tone::Plain => "badge",
            Tone::Good => "badge ok",
            Tone::Warn => "badge warn",
            Tone::Bad => "badge bad",
            Tone::Info => "badge info",
        }
    }
}

/// A number as people read it: `120 000` for 120000.
pub(crate) fn number(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if count < 0 { format!("−{text}") } else { text }
}

/// `1 request`, `2 requests`.
pub(crate) fn count(many: usize, what: &str) -> String {
    let text = number(i64::try_from(many).unwrap_or(i64::MAX));
    if many == 1 { format!("{text} {what}") } else { format!("{text} {what}s") }
}

/// A day: `3 March 2026`.
pub(crate) fn day(moment: Timestamp) -> String {
    moment.to_zoned_datetime(TimeZone::UTC).strftime("%-d %B %Y").to_string()
}

/// A moment: `3 March 2026, 14:05 UTC`.
pub(crate) fn moment(moment: Timestamp) -> String {
    moment.to_zoned_datetime(TimeZone::UTC).strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// A length of time as files have it, in words: `365d` is 365 days.
pub(crate) fn span(text: &str) -> String {
    let (digits, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return text.to_owned(),
    };
    digits.parse().map_or_else(|_| text.to_owned(), |many| count(many, unit))
}

fn period(per: Period) -> &'static str {
    match per {
        Period::Second => "second",
        Period::Minute => "minute",
        Period::Hour => "hour",
        Period::Day => "day",
        Period::Month => "month",
    }
}

/// A limit: `600 requests a minute`, and what it is for where it is not for everything.
pub(crate) fn limit(limit: &Limit) -> String {
    let Limit { requests, per, product, operations, methods } = limit;
    let what = match (operations.as_slice(), methods.as_slice()) {
        ([], []) => String::new(),
        (operations, []) => format!(" to {}", listed(operations)),
        (_, methods) => format!(" with {}", listed(methods)),
    };
    let of = product.as_ref().map(|product| format!(" of {product}")).unwrap_or_default();
    if *requests == 0 {
        return format!("No requests{what}{of}");
    }
    let requests = count(usize::try_from(*requests).unwrap_or_default(), "request");
    let article = if *per == Period::Hour { "an" } else { "a" };
    format!("{requests} {article} {}{what}{of}", period(*per))
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A price: the figure, and what goes with it.
pub(crate) fn price(plan: &PlanSpec) -> (String, Option<String>) {
    if let Some(contract) = &plan.contract {
        return (contract.text.clone(), None);
    }
    let Some(price) = &plan.price else { return ("Free".to_owned(), None) };
    let Price { currency, model, interval, amount, setup_fee, tiers, included, credits } = price;
    let interval = match interval {
        Interval::Month => "a month",
        Interval::Year => "a year",
    };
    let mut more = Vec::new();
    let figure = match (amount, tiers.first()) {
        (Some(amount), _) => {
            more.push(interval.to_owned());
            format!("{currency} {amount}")
        }
        (None, Some(tier)) => {
            more.push("a request".to_owned());
            format!("from {currency} {}", tier.unit_amount)
        }
        (None, None) => "Free".to_owned(),
    };
    if let Some(included) = included {
        more.push(format!("{} requests included", number(*included)));
    }
    if amount.is_some() && *model != PriceModel::Flat && !tiers.is_empty() {
        more.push("then by request".to_owned());
    }
    if let Some(fee) = setup_fee {
        more.push(format!("{currency} {fee} once to begin"));
    }
    if *credits {
        more.push("from credits".to_owned());
    }
    (figure, (!more.is_empty()).then(|| more.join(", ")))
}

/// How an application proves who it is.
pub(crate) fn security(security: Security) -> &'static str {
    match security {
        Security::ApiKey => "An API key",
        Security::ClientCredentials => "An OAuth client with a secret",
        Security::PrivateKeyJwt => "An OAuth client with its own private key",
        Security::ExternalClient => "An OAuth client that you manage elsewhere",
    }
}

/// A step of a product's or a plan's life, where it is worth a word.
pub(crate) fn lifecycle(stage: LifecycleStage) -> Option<(&'static str, Tone)> {
    match stage {
        LifecycleStage::Published => None,
        LifecycleStage::Draft => Some(("Draft", Tone::Info)),
        LifecycleStage::Deprecated => Some(("Deprecated", Tone::Warn)),
        LifecycleStage::Retired => Some(("Retired", Tone::Bad)),
    }
}

/// A subscription's phase.
pub(crate) fn phase(phase: Phase) -> (&'static str, Tone) {
    match phase {
        Phase::Pending => ("Waiting", Tone::Warn),
        Phase::PendingPayment => ("Waiting for payment", Tone::Warn),
        Phase::PaymentFailed => ("Payment failed", Tone::Bad),
        Phase::Active => ("Active", Tone::Good),
        Phase::Suspended => ("Paused", Tone::Plain),
        Phase::Rejected => ("Turned down", Tone::Bad),
        Phase::PendingCancellation => ("Active, ends soon", Tone::Warn),
        Phase::Cancelled => ("Cancelled", Tone::Plain),
        Phase::Expired => ("Over", Tone::Plain),
    }
}

/// How far a subscription is on its way to production, where it is not there.
pub(crate) fn stage(stage: SubscriptionStage) -> Option<(&'static str, Tone)> {
    match stage {
        SubscriptionStage::Production => None,
        SubscriptionStage::Sandbox => Some(("Sandbox", Tone::Info)),
        SubscriptionStage::InReview => Some(("Sandbox, asks to go live", Tone::Warn)),
        SubscriptionStage::ChangesRequested => Some(("Sandbox, changes asked for", Tone::Warn)),
    }
}

/// What an environment is for.
pub(crate) fn environment(stage: Stage) -> &'static str {
    match stage {
        Stage::Sandbox => "for trying out",
        Stage::Production => "for real traffic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(requests: i64, per: Period) -> Limit {
        Limit { requests, per, product: None, operations: Vec::new(), methods: Vec::new() }
    }

    #[test]
    fn limits_read_as_sentences() {
        assert_eq!(limit(&of(1, Period::Second)), "1 request a second");
        assert_eq!(limit(&of(12_000, Period::Hour)), "12\u{202f}000 requests an hour");
        assert_eq!(
            limit(&Limit { methods: vec!["DELETE".to_owned()], ..of(0, Period::Minute) }),
            "No requests with DELETE"
        );
        let some = Limit { operations: ["a", "b", "c"].map(str::to_owned).into(), ..of(2, Period::Day) };
        assert_eq!(limit(&some), "2 requests a day to a, b and c");
    }

    #[test]
    fn spans_are_words() {
        assert_eq!(span("365d"), "365 days");
        assert_eq!(span("1h"), "1 hour");
        assert_eq!(span("1h30m"), "1h30m");
    }

    #[test]
    fn numbers_have_room() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(number(-1_000), "−1\u{202f}000");
    }
}
