// Signing in through the identity provider, as who is known and who is not, and what forged answers come to.
import { base, check, close, look, open, visitor } from "./browser.mjs";

const issuer = process.env.ISSUER;

// Signs out at the provider, which tells the portal, and nobody else is concerned.
async function signOutThere(page, other) {
  const isIn = async (who) => {
    await who.goto(`${base}/applications`);
    return new URL(who.url()).pathname === "/applications";
  };
  check(await isIn(page), "signed in, and not let in");
  await page.goto(`${issuer}/session/end`);
  await page.locator('button[name="logout"]').click();
  await page.waitForURL(/session\/end\/success/);
  check(!(await isIn(page)), "signed out at the provider, and still in");
  check(await isIn(other), "somebody else was signed out");
}

async function tell(body) {
  const answer = await fetch(`${base}/sign-in/oidc/logout`, { method: "POST", body: new URLSearchParams(body) });
  return answer.status;
}

async function leave(mail) {
  const page = await visitor({ allowed: [issuer] });
  await page.goto(`${base}/applications`);
  await look(page, "sign-in-oidc");
  await page.getByRole("link", { name: "Go on" }).click();
  await page.locator('input[name="login"]').fill(mail);
  await page.locator('input[name="password"]').fill("anything");
  await page.locator('button[type="submit"]').click();
  return page;
}

async function signIn(mail) {
  const page = await leave(mail);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL((url) => url.href.startsWith(base));
  return page;
}

await open();

const sara = await signIn("sara@acme.example");
check(new URL(sara.url()).pathname === "/applications", `Sara comes to ${sara.url()}`);
await sara.getByRole("heading", { name: "Team Shop" }).waitFor();
check((await sara.getByText("sara of the provider").count()) > 0, "the provider's name for her is not used");
await sara.goto(`${base}/apis/inner/inner`);
check((await sara.getByRole("heading", { level: 1 }).textContent()) === "Inner", "her group does not let her see it");

const mia = await signIn("mia@acme.example");
check((await mia.goto(`${base}/apis/inner/inner`)).status() === 404, "Mia sees what is for a group that she is not in");

const stranger = await signIn("nobody@elsewhere.example");
await stranger.getByText("There is no account for this address").waitFor();
await look(stranger, "no-account");
await stranger.goto(`${base}/applications`);
check(new URL(stranger.url()).pathname === "/sign-in", "somebody unknown is let in");

const unverified = await signIn("unverified@acme.example");
await unverified.getByText("no verified mail address").waitFor();

// An answer that belongs to another browser, one that was made up, and one that is used again.
const victim = await visitor({ allowed: [issuer] });
for (const forged of ["?code=a&state=b", "?state=b", "?error=access_denied&state=b", ""]) {
  const answer = await victim.goto(`${base}/sign-in/oidc/back${forged}`);
  check(answer.status() === 422, `${forged}: ${answer.status()}`);
}
const attacker = await leave("mia@acme.example");
let back;
attacker.on("request", (request) => {
  if (request.url().startsWith(`${base}/sign-in/oidc/back`)) back = request.url();
});
await attacker.getByRole("button", { name: "Continue" }).click();
await attacker.waitForURL(`${base}/applications`);
check((await victim.goto(back)).status() === 422, "an answer is taken that belongs to another browser");
await victim.goto(`${base}/applications`);
check(new URL(victim.url()).pathname === "/sign-in", "somebody is signed in with another's answer");
check((await attacker.goto(back)).status() === 422, "an answer is used twice");

for (const mail of ["mia@acme.example", "sara@acme.example"]) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: issuer, aud: "portal", sub: mail, iat: now, exp: now + 60, jti: mail,
    events: { "http://schemas.openid.net/event/backchannel-logout": {} },
  };
  for (const alg of ["none", "RS256", "HS256"]) {
    const token = `${part({ alg, typ: "logout+jwt" })}.${part(claims)}.${alg === "none" ? "" : part(claims)}`;
    check((await tell({ logout_token: token })) === 400, `a forged token (${alg}) is taken`);
  }
}
check((await tell({})) === 400, "no token is taken");
await signOutThere(sara, mia);
// Who signs in again is in again.
const again = await signIn("sara@acme.example");
await signOutThere(again, mia);

await close();
