// The life of a subscription and an owner's day: from the pages, with what comes of it at the gateway.
import { base, check, close, look, open, signIn, visitor } from "./browser.mjs";
import { commands, until } from "./calls.mjs";

await open();
const sara = await visitor();
await signIn(sara, "sara@acme.example");
const olga = await visitor();
await signIn(olga, "olga@acme.example");

// Subscribes an application to a plan of Maps, and answers the subscription's address and a call with its key.
async function subscribe(plan, application) {
  await sara.goto(`${base}/apis/maps/maps`);
  await sara.getByRole("link", { name: `Subscribe to plan ${plan}` }).click();
  await sara.getByLabel(application).check();
  for (let step = 0; step < 2; step++) await sara.getByRole("button", { name: "Go on" }).click();
  await sara.getByRole("button", { name: "Subscribe" }).click();
  await sara.waitForURL(/\/subscriptions\/shop\//);
  return { page: sara.url(), call: await firstCall() };
}

// Shows the key that nobody has seen yet, and answers the call that its page offers.
async function firstCall() {
  await sara.getByRole("button", { name: "Show the key" }).first().click();
  await sara.getByRole("heading", { name: "Your key" }).waitFor();
  const [, call] = await commands(sara);
  return call;
}

async function make(title) {
  await sara.goto(`${base}/applications`);
  await sara.getByRole("link", { name: "New application" }).click();
  await sara.getByLabel("Name", { exact: true }).fill(title);
  await sara.getByRole("button", { name: "Make it" }).click();
  await sara.getByRole("heading", { name: title }).waitFor();
  return sara.url();
}

// An application without a subscription, and what it says.
await sara.goto(`${base}/applications/new`);
await look(sara, "application-new");
const shop = await make("Map shop");
await sara.getByRole("link", { name: "Edit" }).click();
await sara.getByLabel("Redirect addresses").fill("nowhere");
await sara.getByRole("button", { name: "Save" }).click();
await sara.getByRole("alert").waitFor();
await look(sara, "application-edit");
await sara.getByLabel("Redirect addresses").fill("https://shop.example/back");
await sara.getByLabel("What it does").fill("Shows where the shops are.");
await sara.getByRole("button", { name: "Save" }).click();
await sara.getByText("https://shop.example/back").waitFor();
await look(sara, "application-alone");

// It rests, and goes on with the same key.
const walk = await subscribe("Walk", "Map shop");
const draw = `${walk.call} --request POST`;
const all = walk.call.replace("/things'", "/export'");
check((await until(walk.call, "200")) === "200", `${walk.call} does not answer 200`);
check((await until(draw, "403")) === "403", "plan Walk lets one draw");
await sara.goto(walk.page);
await look(sara, "life");
await sara.getByRole("button", { name: "Pause" }).click();
await sara.getByRole("button", { name: "Resume" }).waitFor();
check((await until(walk.call, "401")) === "401", "what is paused works");
await look(sara, "life-paused");
await sara.getByRole("button", { name: "Resume" }).click();
await sara.getByRole("button", { name: "Pause" }).waitFor();
check((await until(walk.call, "200")) === "200", "what goes on does not work");

// Another plan: the old one serves until the other is granted.
await sara.getByRole("link", { name: "Change plan" }).click();
await look(sara, "plan-others");
await sara.getByRole("link", { name: "Choose Run" }).click();
await look(sara, "plan-last-look");
await sara.getByRole("checkbox", { name: "I accept these terms" }).check();
await sara.getByRole("button", { name: "Ask for it" }).click();
await sara.getByRole("button", { name: "Stay on Walk" }).waitFor();
await look(sara, "plan-asked");
check((await until(walk.call, "200")) === "200", "the old terms do not serve");
check((await until(draw, "403")) === "403", "the new terms serve before they are granted");
await olga.goto(`${base}/requests`);
const card = (page, text) => page.locator("article", { hasText: text });
await card(olga, "Map shop wants to change its plan").waitFor();
await look(olga, "requests-plan");
await olga.getByRole("button", { name: "Approve Map shop" }).click();
await olga.waitForURL(/\/requests$/);
check((await until(draw, "200")) === "200", "the new plan does not serve once it is granted");
check((await until(walk.call, "200")) === "200", "the key does not outlive a change of plan");

// More scopes, with a reason, and given up again.
await sara.goto(walk.page);
await sara.getByRole("link", { name: "Change scopes" }).click();
await sara.getByRole("checkbox", { name: "Export maps" }).check();
await sara.getByRole("button", { name: "Save" }).click();
await sara.getByRole("alert").waitFor();
await look(sara, "scopes");
await sara.getByLabel("What “Export maps” is needed for").fill("We print an atlas.");
await sara.getByRole("button", { name: "Save" }).click();
await sara.getByText("It asks for more scopes").waitFor();
await look(sara, "scopes-asked");
check((await until(all, "403")) === "403", "a scope works that was not granted");
await olga.goto(`${base}/requests`);
await card(olga, "We print an atlas.").waitFor();
await look(olga, "requests-scopes");
await olga.getByRole("button", { name: "Approve Map shop" }).click();
await olga.waitForURL(/\/requests$/);
check((await until(all, "200")) === "200", "a scope that was granted does not work");
await olga.goto(walk.page);
await olga.locator("summary", { hasText: "Choose scopes" }).click();
await olga.getByRole("checkbox", { name: "Export maps" }).check();
await look(olga, "subscription-scopes-back");
await olga.getByLabel("Why they go").fill("Print less.");
await olga.getByRole("button", { name: "Take them back" }).click();
await olga.getByRole("heading", { name: "You can answer again" }).waitFor();
check((await until(all, "403")) === "403", "a scope works that was taken back");
check((await until(walk.call, "200")) === "200", "more is taken back than the scope");
await olga.getByRole("button", { name: "Approve Map shop" }).click();
await olga.getByRole("heading", { name: "Take scopes back" }).waitFor();
check((await until(all, "200")) === "200", "a scope that was granted again does not work");
await sara.goto(`${walk.page}/scopes`);
await sara.getByRole("checkbox", { name: "Export maps" }).uncheck();
await sara.getByRole("button", { name: "Save" }).click();
await sara.waitForURL(walk.page);
check((await until(all, "403")) === "403", "a scope works that was given up");

// An end on a day, taken back.
await sara.locator("summary", { hasText: "Set an end" }).click();
await sara.getByLabel("The last day").fill("2099-12-31");
await sara.getByRole("button", { name: "End it then" }).click();
await sara.getByRole("button", { name: "Let it go on" }).waitFor();
await look(sara, "life-ends");
check((await until(walk.call, "200")) === "200", "what ends later does not work now");
await sara.getByRole("button", { name: "Let it go on" }).click();
await sara.locator("summary", { hasText: "Set an end" }).waitFor();

// From the sandbox to production, with changes in between.
await make("Map lab");
const build = await subscribe("Build", "Map lab");
check((await until(build.call, "200")) === "200", "the sandbox does not answer 200");
await sara.goto(build.page);
await look(sara, "life-sandbox");
await sara.getByRole("button", { name: "Ask to go live" }).click();
await sara.getByText("It asks to go live").waitFor();
await olga.goto(`${base}/requests`);
const live = card(olga, "Map lab wants to go live");
await live.locator("summary", { hasText: "Not like this" }).click();
await look(olga, "requests-live");
await live.getByLabel("Why, for whoever has asked").fill("Cache what you fetch.");
await live.getByRole("button", { name: "Ask for changes" }).click();
await olga.waitForURL(/\/requests$/);
await sara.goto(build.page);
await sara.getByText("Cache what you fetch.").first().waitFor();
await look(sara, "life-changes");
await olga.goto(`${base}/requests`);
await olga.getByRole("link", { name: "Told no, or not yet" }).click();
await look(olga, "requests-refused");
await olga.getByRole("link", { name: "Map lab" }).click();
await olga.getByRole("heading", { name: "You can answer again" }).waitFor();
await look(olga, "subscription-answer");
await olga.getByRole("button", { name: "Approve Map lab" }).click();
await olga.waitForURL(/\/subscriptions\//);
await sara.goto(build.page);
await sara.getByRole("button", { name: "Make it" }).waitFor();
await look(sara, "life-live");
await sara.getByRole("button", { name: "Make it" }).click();
await sara.getByRole("button", { name: "Show the key" }).waitFor();
const production = await firstCall();
check(production.split("'").at(-2) !== build.call.split("'").at(-2), "production is where the sandbox is");
check((await until(production, "200")) === "200", "production does not answer 200");

// What was granted is taken back, and granted anew.
await olga.goto(build.page);
await olga.locator("summary", { hasText: "Take it back" }).click();
await look(olga, "subscription-take-back");
await olga.getByLabel("Why, for whoever uses it").fill("Too many calls at night.");
await olga.getByRole("button", { name: "End its access" }).click();
await olga.getByRole("heading", { name: "You can answer again" }).waitFor();
check((await until(production, "401")) === "401", "what was taken back works");
await sara.goto(build.page);
await sara.getByText("Too many calls at night.").first().waitFor();
await look(sara, "life-taken-back");
await olga.getByRole("button", { name: "Approve Map lab" }).click();
await olga.getByRole("heading", { name: "Take access back" }).waitFor();
await sara.goto(build.page);
check((await until(await firstCall(), "200")) === "200", "what was granted anew does not work");

// Several answers at once.
for (const application of ["Map shop", "Map lab"]) {
  await sara.goto(`${base}/apis/orders/orders`);
  await sara.getByRole("link", { name: "Subscribe to plan Standard" }).click();
  await sara.getByLabel(application).check();
  for (let step = 0; step < 2; step++) await sara.getByRole("button", { name: "Go on" }).click();
  await sara.getByRole("button", { name: "Send the request" }).click();
  await sara.waitForURL(/\/subscriptions\/shop\//);
}
await olga.goto(`${base}/requests`);
await olga.getByLabel("Choose Map shop").check();
await olga.getByLabel("Choose Map lab").check();
await look(olga, "requests-several");
await olga.getByRole("button", { name: "Approve the chosen" }).click();
await olga.getByText("2 requests answered.").waitFor();
await look(olga, "answers");

// Who uses it.
await olga.goto(`${base}/apis/maps/maps`);
await olga.getByRole("link", { name: "Who uses it" }).click();
await look(olga, "subscribers-of-api");
await olga.getByRole("searchbox").fill("map lab");
await olga.keyboard.press("Enter");
await olga.getByText("1 subscription found").waitFor();
await look(olga, "subscribers-found");

// All of it works without scripts.
const plain = await visitor({ javaScriptEnabled: false });
await signIn(plain, "sara@acme.example");
await plain.goto(build.page);
await plain.getByRole("button", { name: "Pause" }).click();
await plain.getByRole("button", { name: "Resume" }).click();
await plain.getByRole("button", { name: "Pause" }).waitFor();
await plain.locator("summary", { hasText: "Set an end" }).click();
await plain.getByLabel("The last day").fill("2099-12-31");
await plain.getByRole("button", { name: "End it then" }).click();
await plain.getByRole("button", { name: "Let it go on" }).click();
await plain.getByRole("link", { name: "Change plan" }).click();
await plain.getByRole("link", { name: "Choose Walk" }).click();
await plain.getByRole("button", { name: "Change the plan" }).click();
await plain.getByText("It has plan Walk.").waitFor();

// It goes, with all that it has.
await sara.goto(shop);
await sara.getByRole("link", { name: "Edit" }).click();
await sara.getByRole("link", { name: "Delete" }).click();
await look(sara, "application-delete");
await sara.getByLabel("To be sure").fill("map-shop");
await sara.getByRole("button", { name: "Delete the application" }).click();
await sara.waitForURL(/\/applications$/);
check((await sara.getByRole("link", { name: "Map shop" }).count()) === 0, "what was deleted is listed");
check((await until(walk.call, "401")) === "401", "a key of what was deleted works");
await look(sara, "applications-made");

await close();
