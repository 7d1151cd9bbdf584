// Where the Portal asks for reviews: what somebody wants waits on a branch until whoever answers for it lets it in.
import { base, check, close, look, open, signIn, visitor } from "./browser.mjs";

await open();
const sara = await visitor();
await signIn(sara, "sara@acme.example");

async function ask(title) {
  await sara.goto(`${base}/apis/orders/orders`);
  await sara.getByRole("link", { name: "Subscribe to plan Standard" }).click();
  await sara.getByLabel("A new one").check();
  await sara.getByRole("textbox", { name: "Name" }).fill(title);
  for (let steps = 0; steps < 5 && (await sara.getByRole("button", { name: "Go on" }).count()) > 0; steps++) {
    await sara.getByRole("button", { name: "Go on" }).click();
  }
  await sara.getByRole("button", { name: "Send the request" }).click();
  await sara.waitForURL(/\/requests\/waiting\//);
  await sara.getByRole("heading", { name: "Waiting for a review" }).waitFor();
  return sara.url();
}

const first = await ask("Returns");
await look(sara, "review-waiting");
const branch = await sara.locator("article code").first().textContent();
check(branch === `portico/${first.split("/").pop()}`, `its branch is said to be ${branch}`);
check((await sara.getByRole("button", { name: /Let it in/ }).count()) === 0, "who has asked can let it in");
const second = await ask("Nonsense");
await sara.goto(`${base}/applications`);
check((await sara.getByRole("link", { name: /Returns: subscribe/ }).count()) === 1, "what waits is not listed");
check((await sara.getByRole("link", { name: "Returns", exact: true }).count()) === 0, "what waits is there already");
await look(sara, "review-mine");

const olga = await visitor();
await signIn(olga, "olga@acme.example");
await olga.goto(`${base}/requests`);
await olga.locator("summary", { hasText: "Turn it down: Nonsense" }).click();
await look(olga, "review-inbox");
const nonsense = olga.locator("article", { hasText: "Nonsense" });
await nonsense.getByLabel("Why, for whoever has asked").fill("There is no such team.");
await nonsense.getByRole("button", { name: "Turn it down", exact: true }).click();
await olga.waitForURL(/\/requests$/);
await olga.getByRole("button", { name: /Let it in.*Returns/ }).click();
await olga.waitForURL(/\/requests$/);
await olga.getByRole("button", { name: "Approve Returns" }).click();
await olga.waitForURL(/\/requests$/);

await sara.goto(second);
await sara.getByText("There is no such team.").waitFor();
await look(sara, "review-declined");
await sara.goto(first);
await sara.getByRole("heading", { name: "It was let in" }).waitFor();
await look(sara, "review-taken-in");
await sara.goto(`${base}/subscriptions/shop/returns-orders`);
await sara.getByRole("button", { name: "Show the key" }).first().waitFor();
await sara.goto(`${base}/subscriptions/shop/returns-orders/history`);
await sara.getByText("Let it in:").waitFor();
await sara.getByText("Granted plan orders/standard").waitFor();
await look(sara, "review-history");
const mia = await visitor();
await signIn(mia, "mia@acme.example");
check((await mia.goto(`${base}/subscriptions/shop/returns-orders/history`)).status() === 404, "Mia sees what Sara did");
await close();
