//! What a plan allows at an API, cut into pieces that each have one answer.

use std::collections::BTreeSet;

use portico_core::gateway::{ApiPlan, Limit, Operation, Scope};

use super::paths::specificity;

/// Some requests of a plan, and the limits that count for them; a limit of 0 denies them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell<'a> {
    /// Which path template; `None` is all.
    pub(super) path: Option<&'a str>,
    /// Which method; `None` is any that no cell before this one has.
    pub(super) method: Option<&'a str>,
    /// All of them count.
    pub(super) limits: Vec<&'a Limit>,
    /// The cell gives access that there would not be without it, so it matches to the letter.
    pub(super) strict: bool,
    /// `HEAD` has a cell of its own and does not go with `GET`.
    pub(super) head_apart: bool,
}

/// The pieces of a plan, in the order in which they are to be tried.
pub(super) fn cells(plan: &ApiPlan) -> Vec<Cell<'_>> {
    let only = plan.only.as_deref();
    let mut paths: Vec<&str> = match only {
        Some(operations) => operations.iter().map(|operation| operation.path.as_str()).collect(),
        None => limited_operations(plan).map(|operation| operation.path.as_str()).collect(),
    };
    paths.sort_by_key(|path| specificity(path));
    paths.dedup();
    let mut cells = Vec::new();
    for path in paths {
        at(plan, Some(path), &mut cells);
    }
    if only.is_none() {
        at(plan, None, &mut cells);
    }
    cells
}

fn at<'a>(plan: &'a ApiPlan, path: Option<&'a str>, cells: &mut Vec<Cell<'a>>) {
    let included: Option<Vec<Option<&str>>> = plan.only.as_deref().map(|operations| {
        let here = operations.iter().filter(|operation| Some(operation.path.as_str()) == path);
        here.map(|operation| operation.method.as_deref()).collect()
    });
    let any_method = included.as_ref().is_none_or(|methods| methods.contains(&None));
    let limited = limited_operations(plan)
        .filter(|operation| Some(operation.path.as_str()) == path)
        .filter_map(|operation| operation.method.as_deref());
    let methods: BTreeSet<&str> =
        limited.chain(limited_methods(plan)).chain(included.iter().flatten().copied().flatten()).collect();
    let rest = fitting(plan, path, None);
    let head_apart = methods.contains("HEAD");
    let strict = included.is_some();
    for method in methods {
        let limits = fitting(plan, path, Some(method));
        let names = |method| included.iter().flatten().any(|one| *one == Some(method));
        // A limit of its own takes `HEAD` out of `GET`, and not out of the plan.
        let is_included = any_method || names(method) || (method == "HEAD" && names("GET"));
        if is_included && !(any_method && limits == rest) {
            cells.push(Cell { path, method: Some(method), limits, strict, head_apart });
        }
    }
    if any_method {
        cells.push(Cell { path, method: None, limits: rest, strict, head_apart });
    }
}

fn limited_operations(plan: &ApiPlan) -> impl Iterator<Item = &Operation> {
    plan.limits.iter().flat_map(|limit| match &limit.scope {
        Scope::Operations(operations) => operations.as_slice(),
        Scope::Plan | Scope::Methods(_) => &[],
    })
}

fn limited_methods(plan: &ApiPlan) -> impl Iterator<Item = &str> {
    let methods = plan.limits.iter().flat_map(|limit| match &limit.scope {
        Scope::Methods(methods) => methods.as_slice(),
        Scope::Plan | Scope::Operations(_) => &[],
    });
    methods.map(String::as_str)
}

/// The most specific limits: those for the operation, else those for the method, else those of the whole plan.
fn fitting<'a>(plan: &'a ApiPlan, path: Option<&str>, method: Option<&str>) -> Vec<&'a Limit> {
    let of_operation = |limit: &&Limit| match &limit.scope {
        Scope::Operations(operations) => operations.iter().any(|operation| {
            Some(operation.path.as_str()) == path
                && (operation.method.is_none() || operation.method.as_deref() == method)
        }),
        Scope::Plan | Scope::Methods(_) => false,
    };
    let of_method = |limit: &&Limit| match &limit.scope {
        Scope::Methods(methods) => methods.iter().any(|one| Some(one.as_str()) == method),
        Scope::Plan | Scope::Operations(_) => false,
    };
    let of_plan = |limit: &&Limit| limit.scope == Scope::Plan;
    let mut found: Vec<_> = plan.limits.iter().filter(of_operation).collect();
    if found.is_empty() {
        found = plan.limits.iter().filter(of_method).collect();
    }
    if found.is_empty() {
        found = plan.limits.iter().filter(of_plan).collect();
    }
    found
}
