// An operation tried out from its page, through the real gateway; and who did what.
import { base, check, close, look, open, signIn, visitor } from "./browser.mjs";

const GATEWAY = process.env.GATEWAY;

await open();
const sara = await visitor({ gateway: GATEWAY });
await signIn(sara, "sara@acme.example");
await sara.goto(`${base}/apis/weather/weather`);
await sara.getByRole("link", { name: "Subscribe to plan Free" }).click();
await sara.getByLabel("A new one").check();
await sara.getByRole("textbox", { name: "Name" }).fill("Umbrella");
for (let steps = 0; steps < 5 && (await sara.getByRole("button", { name: "Go on" }).count()) > 0; steps++) {
  await sara.getByRole("button", { name: "Go on" }).click();
}
await sara.getByRole("button", { name: "Subscribe" }).click();
await sara.waitForURL(/\/subscriptions\/shop\//);
const subscription = sara.url();
await sara.getByRole("button", { name: "Show the key" }).first().click();
await sara.getByRole("heading", { name: "Your key" }).waitFor();

// The key is on this page right now, so it is filled in.
const key = await sara.locator("[data-copy] code").first().textContent();
const panel = sara.locator("section.explorer");
check((await panel.getByLabel("Key").inputValue()) === key, "the key that is shown is not filled in");
const answered = async (status) => {
  await panel.getByRole("button", { name: "Send" }).click();
  await panel.locator("[data-status], .notice").first().waitFor();
  const [shown] = await panel.locator("[data-status]").all();
  const came = shown ? await shown.getAttribute("data-status") : await panel.locator(".notice").textContent();
  check(came === status, `${status} was expected, ${came} came`);
};
for (let tries = 0; tries < 40; tries++) {
  await panel.getByRole("button", { name: "Send" }).click();
  await panel.locator("[data-status]").first().waitFor();
  if ((await panel.locator("[data-status]").getAttribute("data-status")) === "200") break;
  await sara.waitForTimeout(100);
}
await answered("200");
await look(sara, "key-tried");

// On the page of the API nothing is filled in, and what is masked nowhere is.
await sara.goto(`${base}/apis/weather/weather/reference/v2`);
check((await panel.getByLabel("Key").inputValue()) === "", "something is filled in that nobody has revealed");
check((await panel.getByLabel("Where").count()) === 0, "there is no choice of places");
await answered("401");
await sara.locator("details.operation summary", { hasText: "/observations/{city}" }).click();
await sara.getByRole("button", { name: /Try it.*GET \/observations/ }).click();
await panel.getByRole("button", { name: "Send" }).click();
await panel.getByText("is missing").waitFor();
await panel.getByLabel("city").fill("Bergen op Zoom");
await panel.getByLabel("Key").fill(key);
await answered("200");
await look(sara, "reference-tried");

// Who lets no page call them says so, and how it works nevertheless.
await sara.goto(`${base}/apis/payments/payments`);
await sara.getByRole("link", { name: "API reference" }).click();
await panel.getByRole("button", { name: "Send" }).click();
await panel.getByText("cors.allowOrigins").or(panel.getByText("is missing")).first().waitFor();
await look(sara, "reference-closed");

// Who did what, as Git has it.
await sara.goto(subscription);
await sara.getByRole("link", { name: "All that happened, with its commits" }).click();
await sara.getByText("Subscribed to plan weather/free").waitFor();
await sara.getByText("Asked for a key").waitFor();
check((await sara.getByText("sara@acme.example").count()) > 0, "nobody has done it");
await look(sara, "history");
await sara.goto(`${base}/applications/shop/checkout/history`);
await look(sara, "history-application");
const olga = await visitor();
await signIn(olga, "olga@acme.example");
await olga.goto(`${base}/apis/orders/orders`);
await olga.getByRole("link", { name: "Who did what with it" }).click();
await olga.getByText("Granted plan orders/standard", { exact: false }).first().waitFor();
await look(olga, "history-product");
await close();
