use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn environment() -> Name {
    Name::new("ops", "prod")
}

fn ask(limit: &str, application: &str, requests: u64, per: Period) -> Ask {
    Ask { limit: limit.into(), application: application.into(), requests, per }
}

/// Whether each of the requests, one after the other, was allowed by all.
fn allowed(counters: &mut Counters, asks: &[Ask], times: &[&str]) -> Vec<bool> {
    let one = |time: &&str| !counters.count(&environment(), asks, 1, at(time)).iter().any(|answer| answer.is_over);
    times.iter().map(one).collect()
}

#[test]
fn windows_are_those_of_the_calendar() {
    for (per, now, begins, ends) in [
        (Period::Hour, "2026-03-01T12:59:59.999Z", "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"),
        (Period::Hour, "2026-12-31T23:00:00Z", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
        (Period::Day, "2024-02-28T23:59:59Z", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
        (Period::Day, "2025-02-28T23:59:59Z", "2025-02-28T00:00:00Z", "2025-03-01T00:00:00Z"),
        (Period::Month, "2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        (Period::Month, "2025-02-28T23:59:59Z", "2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z"),
        (Period::Month, "2100-02-28T12:00:00Z", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"),
        (Period::Month, "2026-01-31T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        (Period::Month, "2026-04-30T23:59:59Z", "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        (Period::Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (Period::Month, "1969-12-31T23:59:59Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        (Period::Hour, "1969-12-31T23:59:59Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(window(per, at(now)), Window { begins: at(begins), ends: at(ends) }, "{per:?} {now}");
    }
    // As far as the clock goes, and no further.
    for per in [Period::Hour, Period::Day, Period::Month] {
        for now in [Timestamp::MAX, Timestamp::MIN] {
            let found = window(per, now);
            assert!(found.begins <= now || found.begins == Timestamp::MAX, "{per:?} {found:?}");
        }
    }
}

#[test]
fn a_window_turns_over() {
    let mut counters = Counters::default();
    let month = [ask("gold/all:month", "team/app", 2, Period::Month)];
    let times = [
        "2024-02-01T00:00:00Z",
        "2024-02-29T23:59:59.999Z",
        "2024-02-29T23:59:59.999Z",
        "2024-03-01T00:00:00Z",
        "2024-03-31T23:59:59Z",
        "2024-03-31T23:59:59Z",
        "2024-04-01T00:00:00Z",
    ];
    assert_eq!(allowed(&mut counters, &month, &times), [true, true, false, true, true, false, true]);
    let answer = counters.count(&environment(), &month, 1, at("2024-04-30T12:00:00Z"));
    assert_eq!(answer, [Answer { is_over: false, remaining: 0, resets_at: at("2024-05-01T00:00:00Z") }]);
}

#[test]
fn a_request_that_is_refused_counts_nowhere() {
    let mut counters = Counters::default();
    let now = "2026-01-01T00:00:00Z";
    let (hour, day) = (ask("hour", "app", 1, Period::Hour), ask("day", "app", 3, Period::Day));
    assert_eq!(allowed(&mut counters, &[hour.clone(), day.clone()], &[now; 4]), [true, false, false, false]);
    let answers = counters.count(&environment(), &[hour, day.clone()], 1, at(now));
    assert_eq!(answers.iter().map(|answer| answer.is_over).collect::<Vec<_>>(), [true, false]);
    assert_eq!(answers[1].remaining, 2);
    assert_eq!(allowed(&mut counters, &[day], &[now; 3]), [true, true, false]);
}

#[test]
fn applications_limits_and_environments_count_by_themselves() {
    let mut counters = Counters::default();
    let now = at("2026-01-01T00:00:00Z");
    for (limit, application, environment) in
        [("a", "one", "prod"), ("a", "two", "prod"), ("b", "one", "prod"), ("a", "one", "test")]
    {
        let asks = [ask(limit, application, 1, Period::Hour)];
        let environment = Name::new("ops", environment);
        let mut once = || counters.count(&environment, &asks, 1, now)[0].is_over;
        assert_eq!([once(), once()], [false, true], "{limit} {application} {environment}");
    }
}

#[test]
fn a_changed_limit_keeps_what_was_counted() {
    let mut counters = Counters::default();
    let now = ["2026-01-01T00:00:00Z"; 3];
    assert_eq!(allowed(&mut counters, &[ask("a", "app", 2, Period::Day)], &now), [true, true, false]);
    assert_eq!(allowed(&mut counters, &[ask("a", "app", 3, Period::Day)], &now), [true, false, false]);
    assert_eq!(allowed(&mut counters, &[ask("a", "app", 1, Period::Day)], &now), [false; 3]);
}

#[test]
fn a_clock_that_is_put_back_gives_no_window_twice() {
    let mut counters = Counters::default();
    let hour = [ask("a", "app", 1, Period::Hour)];
    let times = ["2026-01-01T10:59:59Z", "2026-01-01T11:00:01Z", "2026-01-01T10:59:58Z", "2026-01-01T11:30:00Z"];
    assert_eq!(allowed(&mut counters, &hour, &times), [true, true, false, false]);
    // A clock that was a year ahead must not keep anybody out for a year.
    assert_eq!(
        allowed(&mut counters, &hour, &["2027-01-01T00:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z"]),
        [true, true, false]
    );
}

#[test]
fn what_was_kept_goes_on_after_a_restart() {
    let mut before = Counters::default();
    let (hour, month) = (ask("h", "app", 5, Period::Hour), ask("m", "app", 5, Period::Month));
    let now = at("2026-01-31T23:30:00Z");
    before.count(&environment(), &[hour.clone(), month.clone()], 3, now);
    let kept = before.take_changed(now);
    assert_eq!(kept.len(), 2);
    assert_eq!(before.take_changed(now), [], "it is kept");
    before.not_kept(kept.clone());
    assert_eq!(before.take_changed(now), kept, "it is not");

    let mut after = Counters::default();
    // Somebody asked before what was kept could be read.
    after.count(&environment(), std::slice::from_ref(&month), 1, now);
    after.restore(kept.clone());
    let remaining = |counters: &mut Counters, ask: &Ask, now| {
        counters.count(&environment(), std::slice::from_ref(ask), 0, now)[0].remaining
    };
    assert_eq!(remaining(&mut after, &month, now), 1);
    assert_eq!(remaining(&mut after, &hour, now), 2);
    // What is over is neither taken over nor kept for ever.
    let later = at("2026-02-01T00:00:00Z");
    let mut late = Counters::default();
    late.count(&environment(), std::slice::from_ref(&month), 1, later);
    late.restore(kept);
    assert_eq!(remaining(&mut late, &month, later), 4);
    assert_eq!(late.take_changed(later).len(), 1);
    assert_eq!(late.all().len(), 1);
    late.clear();
    assert_eq!(late.all(), []);
}
