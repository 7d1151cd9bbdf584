//! Did you mean …?

/// The option that a typing error makes `given` of, as a help text.
pub(crate) fn suggestion<'a>(given: &str, options: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = given.to_lowercase();
    let allowed = (given.chars().count() / 3).max(1);
    let near = |option: &'a str| Some((distance(&lower, &option.to_lowercase(), allowed)?, option));
    let (_, best) = options.filter_map(near).min()?;
    Some(format!("did you mean `{best}`?"))
}

/// The number of letters to put in, take out, exchange or swap with their neighbour; `None` past `allowed`.
fn distance(from: &str, to: &str, allowed: usize) -> Option<usize> {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len().abs_diff(to.len()) > allowed {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for row in 1..=from.len() {
        let mut next = vec![row];
        for column in 1..=to.len() {
            let same = from[row - 1] == to[column - 1];
            let mut best = (last[column - 1] + usize::from(!same)).min(last[column] + 1).min(next[column - 1] + 1);
            let swapped = row > 1 && column > 1 && from[row - 1] == to[column - 2] && from[row - 2] == to[column - 1];
            if swapped {
                best = best.min(before[column - 2] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised() {
        let find = |given| suggestion(given, ["requests", "per", "product", "operations", "methods"].into_iter());
        assert_eq!(find("request").as_deref(), Some("did you mean `requests`?"));
        assert_eq!(find("reqeusts").as_deref(), Some("did you mean `requests`?"));
        assert_eq!(find("Per").as_deref(), Some("did you mean `per`?"));
        assert_eq!(find("quota"), None);
        assert_eq!(find(""), None);
    }
}
