// Every page that reads, as those who read it.
import { base, check, close, look, open, signIn, visitor } from "./browser.mjs";

await open();

const stranger = await visitor();
let bytes = 0;
stranger.on("response", async (response) => {
  const sizes = await response.request().sizes().catch(() => ({ responseBodySize: 0, responseHeadersSize: 0 }));
  bytes += sizes.responseBodySize + sizes.responseHeadersSize;
});
await stranger.goto(base, { waitUntil: "networkidle" });
check(bytes > 0 && bytes <= 150 * 1024, `the first view has ${bytes} bytes`);
console.log(`first view: ${bytes} bytes`);
await look(stranger, "catalog");
check((await stranger.getByRole("link", { name: "Orders" }).count()) === 0, "a stranger sees Orders");
await stranger.getByRole("searchbox").fill("forecast");
await stranger.keyboard.press("Enter");
await stranger.waitForURL(/q=forecast/);
check((await stranger.getByRole("heading", { level: 3 }).allTextContents()).join() === "Weather", "searching finds something else");
await look(stranger, "search");
await stranger.goto(`${base}/?q=nothing-like-this`);
await look(stranger, "search-nothing");
await stranger.goto(`${base}/apis/payments/payments`);
await look(stranger, "product");
await stranger.getByRole("link", { name: "Documentation" }).click();
await look(stranger, "docs");
check((await stranger.getByRole("link", { name: "Going live" }).count()) === 0, "a stranger sees a page for subscribers");
await stranger.getByRole("link", { name: "API reference" }).click();
await stranger.locator("details.operation summary").first().click();
await look(stranger, "reference");
await stranger.goto(`${base}/apis/weather/weather`);
await look(stranger, "product-versions");
for (const hidden of ["/apis/orders/orders", "/apis/orders/no-such", "/applications"]) {
  await stranger.goto(`${base}${hidden}`);
  check(new URL(stranger.url()).pathname === "/sign-in", `a stranger comes to ${hidden}`);
}
await look(stranger, "sign-in");
await stranger.goto(`${base}/no-such-page`);
await look(stranger, "not-found");
await stranger.goto(`${base}/design`);
await look(stranger, "design");
await stranger.getByRole("link", { name: "API", exact: true }).click();
await stranger.locator("details.operation summary").first().click();
await look(stranger, "api");

const developer = await visitor();
await signIn(developer, "sara@acme.example");
await developer.goto(`${base}/applications`);
await look(developer, "applications");
await developer.getByRole("link", { name: "Checkout" }).click();
await look(developer, "application");
await developer.getByRole("link", { name: "Payments" }).click();
await look(developer, "subscription");
await developer.goto(`${base}/apis/payments/payments`);
await developer.getByRole("link", { name: "Documentation" }).click();
check((await developer.getByRole("link", { name: "Going live" }).count()) === 1, "a subscriber does not see their page");
for (const hidden of ["/applications/mobile/android", "/subscriptions/mobile/android-weather", "/subscribers/orders/standard"]) {
  const answer = await developer.goto(`${base}${hidden}`);
  check(answer.status() === 404, `Sara comes to ${hidden}: ${answer.status()}`);
}
await developer.locator("details.who summary").click();
await look(developer, "menu");
await developer.getByRole("link", { name: "Tokens for programs" }).click();
await look(developer, "tokens-none");
await developer.getByLabel("What it is for").fill("Nightly report");
await developer.getByRole("button", { name: "Make it" }).click();
check(/ppt_[0-9a-z]{63}/.test(await developer.locator("pre code").first().textContent()), "the token is not shown");
await look(developer, "token");
await developer.getByRole("link", { name: "I have it" }).click();
check((await developer.locator("body").textContent()).includes("Nightly report"), "the token is not listed");
await look(developer, "tokens");
await developer.getByRole("button", { name: "Revoke Nightly report" }).click();
check((await developer.locator("body").textContent()).includes("You have no token"), "the token is there still");
await developer.locator("details.who summary").click();
await developer.getByRole("button", { name: "Sign out" }).click();
await developer.goto(`${base}/applications`);
check(new URL(developer.url()).pathname === "/sign-in", "signed out, and still there");

const owner = await visitor();
await signIn(owner, "olga@acme.example");
await owner.getByRole("link", { name: "Requests" }).click();
await look(owner, "requests");
await owner.getByRole("link", { name: "Subscribers" }).click();
await look(owner, "subscribers");
await owner.getByRole("link", { name: "Standard" }).click();
await look(owner, "subscribers-of-plan");
await owner.getByRole("link", { name: "Checkout" }).click();
await look(owner, "subscription-owner");

await close();
