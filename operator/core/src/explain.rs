//! Why an object is enforced, or why not: which rule decided, and where that is changed.

use portico_crds::{Decision, LifecycleStage, Phase, SubscriptionStage};
use serde::Serialize;

use crate::core::Core;
use crate::delta::{Output, OutputKey};
use crate::diagnostic::Severity;
use crate::gateway::{ApiPlan, Client, Guarded};
use crate::key::{Kind, Name, ObjectKey};
use crate::resolve::{Against, Idle, SubscriptionView, time_is_over};
use crate::status::Status;
use crate::world::World;

/// Every rule by which somebody has no access, or a request is denied: what [`Step::rule`] can say. Those that are a mistake in
/// a file have the code of its diagnostic.
pub const RULES: [&str; 46] = [
    // Of a subscription: what it is for, and what it asks.
    "missing-reference",
    "duplicate-reference-id",
    "strategy-mismatch",
    "retired-plan",
    "retired-product",
    "deprecated-plan",
    "deprecated-product",
    "terms-not-accepted",
    "missing-property",
    "invalid-property",
    "duplicate-subscription",
    "plan-is-full",
    "deleted-plan",
    "deleted-product",
    "deleted-with-plan",
    // Of the answer to it.
    "not-approved",
    "denied",
    "own-request",
    "not-an-approver",
    "not-who-it-says",
    "author-unknown",
    "unsigned-commit",
    "bad-signature",
    "unknown-signer",
    // Of its life.
    "unpaid",
    "payment-failed",
    "suspended",
    "cancelled",
    "time-over",
    "sandbox",
    "in-review",
    "changes-requested",
    // Of a credential.
    "no-subscription",
    "too-many-credentials",
    "expired",
    "outlived",
    "disabled",
    "unserved",
    "unsupported-gateway",
    "unsupported-security",
    "not-imported",
    "key-awaited",
    "gateway-awaited",
    // Of a request with a key that is good.
    "operation-not-covered",
    "scope-not-granted",
    "limit-of-zero",
];

/// The mistakes because of which a subscription has no access.
const BLOCKING: [&str; 13] = [
    "missing-reference",
    "strategy-mismatch",
    "retired-plan",
    "deprecated-plan",
    "deprecated-product",
    "terms-not-accepted",
    "missing-property",
    "invalid-property",
    "duplicate-subscription",
    "plan-is-full",
    "deleted-plan",
    "deleted-product",
    "deleted-with-plan",
];

/// The mistakes because of which a grant does not count.
const VOID: [&str; 7] = [
    "own-request",
    "not-an-approver",
    "not-who-it-says",
    "author-unknown",
    "unsigned-commit",
    "bad-signature",
    "unknown-signer",
];

/// A step of an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Whether this step lets access pass.
    pub passes: bool,
    /// Which rule decides here, of [`RULES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// What is so.
    pub text: String,
    /// The object that says so: where to look, and what to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// The field of it; empty for the whole of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// What decides, and where that is changed.
struct Rule {
    code: &'static str,
    object: ObjectKey,
    path: String,
}

impl Rule {
    fn new(code: &'static str, object: ObjectKey, path: impl Into<String>) -> Self {
        Rule { code, object, path: path.into() }
    }
}

impl Step {
    fn new(passes: bool, text: impl Into<String>, object: Option<ObjectKey>) -> Self {
        Step { passes, rule: None, text: text.into(), object, path: String::new() }
    }

    fn by(passes: bool, rule: Rule, text: impl Into<String>) -> Self {
        let Rule { code, object, path } = rule;
        Step { passes, rule: Some(code), text: text.into(), object: Some(object), path }
    }
}

impl Core {
    /// Why an object is enforced, or why not, step by step; empty if it was never heard of. The last step with a rule that
    /// does not pass is what decided.
    pub fn explain(&self, key: &ObjectKey) -> Vec<Step> {
        let mut steps = Vec::new();
        self.explain_into(key, &mut steps);
        steps
    }

    fn explain_into(&self, key: &ObjectKey, steps: &mut Vec<Step>) {
        let name = &key.name;
        let Some(status) = self.status(key) else { return };
        match key.kind {
            Kind::Credential => {
                for subscription in self.subscriptions_of(name) {
                    self.explain_into(&subscription.of(Kind::Subscription), steps);
                }
                self.explain_problems(key, steps);
                self.explain_credential(name, steps);
                return;
            }
            Kind::Subscription => self.explain_subscription(key, steps),
            _ => {}
        }
        self.explain_status(key, &status, steps);
    }

    /// The subscriptions that a credential is for.
    fn subscriptions_of(&self, credential: &Name) -> Vec<Name> {
        let Some(entry) = self.world.credentials.get(credential) else { return Vec::new() };
        match (&entry.spec.subscription, &entry.spec.application) {
            (Some(subscription), _) => vec![World::resolve_local(subscription, credential)],
            (None, Some(application)) => {
                let application = World::resolve_local(application, credential);
                self.world.subscriptions_of_application.of(&application).cloned().collect()
            }
            (None, None) => Vec::new(),
        }
    }

    fn explain_subscription(&self, key: &ObjectKey, steps: &mut Vec<Step>) {
        let name = &key.name;
        let Some(entry) = self.world.subscriptions.get(name) else { return };
        let application = World::resolve_local(&entry.spec.application, name);
        let consumer = self.views.applications.get(&application);
        let whose = application.clone().of(Kind::Application);
        let text = format!("{key} is for {whose}");
        steps.push(Step::new(consumer.is_some_and(|view| !view.refused), text, Some(whose)));

        let plan = World::resolve(&entry.spec.plan, name);
        let team = consumer.and_then(|view| view.team.as_ref());
        let open = self.views.plans.get(&plan).is_some_and(|view| view.terms.open_to(&application, team));
        let asked = plan.of(Kind::Plan);
        let text = if open {
            format!("it asks for {asked}, which namespace `{}` may subscribe to", name.namespace())
        } else {
            format!("it asks for {asked}, which is not there for namespace `{}`", name.namespace())
        };
        if let Some(problem) = self.refused(&asked).filter(|_| open) {
            steps.push(Step::new(true, problem.message.clone(), Some(asked.clone())));
        }
        steps.push(Step::new(open, text, open.then_some(asked)));

        let Some(view) = self.views.subscriptions.get(name) else { return };
        if let Some(grant) = &view.grant {
            let by = match &grant.approval {
                Some(approval) => format!("Approval {approval} grants Plan {}", grant.plan.name),
                None => format!("Plan {} is granted automatically", grant.plan.name),
            };
            let object = grant.approval.clone().map(|approval| approval.of(Kind::Approval));
            steps.push(Step::new(true, by, object));
        }
        let mut text = format!("it is {:?}, at stage {:?}", view.phase, view.stage);
        if let Some(waiting) = &view.waiting {
            text = format!("{text}: {waiting}");
        }
        steps.push(match self.against(name, view) {
            Some(rule) => Step::by(false, rule, text),
            None => Step::new(true, text, Some(key.clone())),
        });
    }

    /// The rule by which a subscription has no access.
    fn against(&self, name: &Name, view: &SubscriptionView) -> Option<Rule> {
        let key = || name.clone().of(Kind::Subscription);
        let entry = self.world.subscriptions.get(name)?;
        let grant = view.grant.as_ref();
        let plan = || {
            let named = grant.map(|grant| grant.plan.name.clone());
            named.unwrap_or_else(|| World::resolve(&entry.spec.plan, name)).of(Kind::Plan)
        };
        Some(match view.phase {
            Phase::Active | Phase::PendingCancellation => return None,
            Phase::Suspended => Rule::new("suspended", key(), "spec.suspend"),
            Phase::Cancelled => Rule::new("cancelled", key(), "spec.cancelAt"),
            Phase::PendingPayment => Rule::new("unpaid", plan(), "spec.price"),
            Phase::PaymentFailed => Rule::new("payment-failed", plan(), "spec.price"),
            Phase::Rejected => {
                let Against { approval, decision: _ } = view.against.as_ref()?;
                Rule::new("denied", approval.clone().of(Kind::Approval), "spec.decision")
            }
            Phase::Expired => {
                let terms = &grant?.plan;
                let is_over = time_is_over(terms, entry.meta.created).is_some_and(|end| end <= self.now);
                match terms.retired_product() {
                    _ if terms.stage == LifecycleStage::Retired => Rule::new("retired-plan", plan(), "spec.lifecycle"),
                    _ if is_over => Rule::new("time-over", plan(), "spec.duration"),
                    product => Rule::new("retired-product", product?.clone().of(Kind::ApiProduct), "spec.lifecycle"),
                }
            }
            Phase::Pending => {
                let application = World::resolve_local(&entry.spec.application, name);
                if self.views.applications.get(&application).is_some_and(|view| view.refused) {
                    let application = application.of(Kind::Application);
                    return Some(Rule::new("duplicate-reference-id", application, "spec.referenceId"));
                }
                let blocks = |code| BLOCKING.contains(&code);
                match view.problems.iter().find(|problem| blocks(problem.code)) {
                    Some(problem) => Rule::new(problem.code, key(), problem.path.as_str()),
                    None => self.void(name).unwrap_or_else(|| Rule::new("not-approved", plan(), "spec.approval")),
                }
            }
        })
    }

    /// The rule by which a grant of a subscription does not count.
    fn void(&self, subscription: &Name) -> Option<Rule> {
        self.world.approvals_of_subscription.of(subscription).find_map(|approval| {
            let view = self.views.approvals.get(approval).filter(|view| !view.stands)?;
            let problem = view.problems.iter().find(|problem| VOID.contains(&problem.code))?;
            Some(Rule::new(problem.code, approval.clone().of(Kind::Approval), problem.path.as_str()))
        })
    }

    fn explain_credential(&self, name: &Name, steps: &mut Vec<Step>) {
        let key = name.clone().of(Kind::Credential);
        let (Some(entry), Some(view)) = (self.world.credentials.get(name), self.views.credentials.get(name)) else {
            return;
        };
        let environment = World::resolve(&entry.spec.environment, name);
        let output = OutputKey::Client { environment: environment.clone(), credential: name.clone() };
        if let Some((Output::Client(client), serial)) = self.outputs.get(&output) {
            let place = environment.clone().of(Kind::Environment);
            steps.push(if self.gateways.get(&environment).is_some_and(|state| state.confirmed >= *serial) {
                Step::new(true, format!("{key}: the gateway of {place} confirmed it"), Some(key))
            } else {
                let rule = Rule::new("gateway-awaited", place, "spec.gateway");
                Step::by(false, rule, format!("{key} waits for a gateway of Environment {environment}"))
            });
            if let Some((Idle::Unserved, why)) = &view.idle {
                let rule = Rule::new("unserved", name.clone().of(Kind::Credential), "spec.environment.name");
                steps.push(Step::by(false, rule, why.to_string()));
            }
            self.explain_requests(&environment, client, steps);
            return;
        }
        let Some((idle, why)) = &view.idle else {
            let rule = match view.problems.iter().find(|problem| problem.severity == Severity::Error) {
                Some(problem) => Rule::new(problem.code, key.clone(), problem.path.as_str()),
                None => {
                    Rule::new("key-awaited", key.clone(), if entry.spec.import.is_some() { "spec.import" } else { "" })
                }
            };
            steps.push(Step::by(false, rule, format!("{key} has no key yet")));
            return;
        };
        let own = |code, path: &str| Some(Rule::new(code, key.clone(), path));
        let over = |end: portico_crds::Timestamp| *end <= self.now;
        let rule = match idle {
            Idle::Broken => {
                let problem = view.problems.iter().find(|problem| problem.severity == Severity::Error);
                problem.and_then(|problem| own(problem.code, &problem.path))
            }
            Idle::Expired if entry.spec.expires_at.is_some_and(over) => own("expired", "spec.expiresAt"),
            Idle::Outlived => own("outlived", "spec.generation"),
            Idle::Disabled => own("disabled", "spec.disabled"),
            // It would open something, and is told above.
            Idle::Unserved => None,
            Idle::Unsupported => {
                let has_gateway = self.views.environments.get(&environment).is_some_and(|view| view.gateway.is_some());
                match self.world.application_of(name).filter(|_| has_gateway) {
                    Some(application) => Some(Rule::new(
                        "unsupported-security",
                        application.of(Kind::Application),
                        "spec.authentication",
                    )),
                    None => Some(Rule::new("unsupported-gateway", environment.of(Kind::Environment), "spec.gateway")),
                }
            }
            Idle::Waiting | Idle::Rejected | Idle::Suspended | Idle::Cancelled | Idle::Expired => {
                let subscriptions = self.subscriptions_of(name);
                let decided = subscriptions.iter().find_map(|subscription| {
                    let view = self.views.subscriptions.get(subscription)?;
                    self.against(subscription, view).or_else(|| self.not_live(subscription, view))
                });
                decided.or_else(|| own("no-subscription", "spec.application.name"))
            }
        };
        let text = format!("{key} opens nothing: {why}");
        steps.push(match rule {
            Some(rule) => Step::by(false, rule, text),
            None => Step::new(false, text, Some(key)),
        });
    }

    /// The rule by which a subscription that is in force is not live.
    fn not_live(&self, name: &Name, view: &SubscriptionView) -> Option<Rule> {
        let plan = view.grant.as_ref()?.plan.name.clone().of(Kind::Plan);
        let asks = self.world.subscriptions.get(name)?.spec.go_live;
        Some(match view.stage {
            SubscriptionStage::Production => return None,
            SubscriptionStage::Sandbox if !asks => {
                Rule::new("sandbox", name.clone().of(Kind::Subscription), "spec.goLive")
            }
            SubscriptionStage::InReview => Rule::new("in-review", plan, "spec.approval"),
            SubscriptionStage::Sandbox | SubscriptionStage::ChangesRequested => {
                let Against { approval, decision } = view.against.as_ref()?;
                let code = if *decision == Decision::Denied { "denied" } else { "changes-requested" };
                Rule::new(code, approval.clone().of(Kind::Approval), "spec.reason")
            }
        })
    }

    /// What a credential that is good does not open, at the products of its plans.
    fn explain_requests(&self, environment: &Name, client: &Client, steps: &mut Vec<Step>) {
        let mut products: Vec<Name> = Vec::new();
        for plan in &*client.plans {
            let terms = self.views.plans.get(plan).map(|view| &view.terms.products);
            products.extend(terms.into_iter().flatten().map(|product| product.name.clone()));
        }
        products.sort();
        products.dedup();
        for product in products {
            for index in 0..self.endpoints.get(&product).copied().unwrap_or(0) {
                let (environment, product) = (environment.clone(), product.clone());
                let key = OutputKey::Api { environment, product: product.clone(), index };
                let Some((Output::Api(api), _)) = self.outputs.get(&key) else { continue };
                for plan in api.plans.iter().filter(|plan| client.plans.contains(&plan.plan)) {
                    self.explain_plan(&product, plan, steps);
                }
                for guarded in &api.guarded {
                    self.explain_scope(&product, client, guarded, steps);
                }
            }
        }
    }

    /// What a plan does not open at a product.
    fn explain_plan(&self, product: &Name, plan: &ApiPlan, steps: &mut Vec<Step>) {
        let key = || plan.plan.clone().of(Kind::Plan);
        let Some(entry) = self.world.plans.get(&plan.plan) else { return };
        if plan.only.is_some() {
            let place = entry.spec.products.iter().position(|one| World::resolve_product(one, &plan.plan) == *product);
            let path = format!("spec.products[{}].operations", place.unwrap_or_default());
            let text =
                format!("of ApiProduct {product} {} opens these operations only; others are denied (403)", key());
            steps.push(Step::by(true, Rule::new("operation-not-covered", key(), path), text));
        }
        for denied in plan.limits.iter().filter(|limit| limit.requests == 0) {
            let is_it =
                |limit: &portico_crds::Limit| limit.requests == 0 && crate::resolve::limit_id(limit) == denied.id;
            let place = entry.spec.limits.iter().position(is_it);
            let path = format!("spec.limits[{}]", place.unwrap_or_default());
            let text =
                format!("a limit of 0 of {} (`{}`) denies requests to ApiProduct {product} (403)", key(), denied.id);
            steps.push(Step::by(true, Rule::new("limit-of-zero", key(), path), text));
        }
    }

    /// A scope that guards something which a client may not do.
    fn explain_scope(&self, product: &Name, client: &Client, guarded: &Guarded, steps: &mut Vec<Step>) {
        let has = client.scopes.iter().any(|scope| scope.product == *product && *scope.scope == *guarded.scope);
        let subscription = self.subscriptions_of(&client.credential).into_iter().find(|subscription| {
            let view = self.views.subscriptions.get(subscription);
            let grant = view.and_then(|view| view.in_force());
            grant.is_some_and(|grant| grant.plan.products.iter().any(|one| one.name == *product))
        });
        let Some(subscription) = subscription.filter(|_| !has) else { return };
        let what = if guarded.operations.is_some() { "operations" } else { "all operations" };
        let text = format!(
            "{what} of ApiProduct {product} need the scope `{}`, which is not granted: they are denied (403)",
            guarded.scope
        );
        let rule = Rule::new("scope-not-granted", subscription.of(Kind::Subscription), "spec.scopes");
        steps.push(Step::by(true, rule, text));
    }

    fn explain_status(&self, key: &ObjectKey, status: &Status, steps: &mut Vec<Step>) {
        self.explain_problems(key, steps);
        if let Some(programmed) = status.condition("Programmed") {
            let text = format!("{key}: {}", programmed.message);
            steps.push(Step::new(programmed.status, text, Some(key.clone())));
        }
    }

    fn explain_problems(&self, key: &ObjectKey, steps: &mut Vec<Step>) {
        for problem in self.diagnostics_of(key) {
            let passes = problem.severity == Severity::Warning;
            let mut step = Step::new(passes, problem.to_string(), Some(key.clone()));
            step.path.clone_from(&problem.path);
            steps.push(step);
        }
    }
}
