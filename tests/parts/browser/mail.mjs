// Signing in by a link in a mail.
import { base, check, close, look, open, visitor } from "./browser.mjs";

const mailpit = process.env.MAILPIT;

async function link() {
  for (let tries = 0; tries < 100; tries += 1) {
    const latest = await fetch(`${mailpit}/api/v1/message/latest`);
    if (latest.ok) return (await latest.json()).Text.match(/http\S+/)[0];
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("no mail has come");
}

await open();

const sara = await visitor();
await sara.goto(`${base}/applications`);
await look(sara, "sign-in-mail");
await sara.getByLabel("Your mail address").fill("sara@acme.example");
await sara.getByRole("button", { name: "Send me a link" }).click();
await sara.getByRole("heading", { name: "Look into your mail" }).waitFor();
await look(sara, "mail-sent");

const sent = await link();
const other = await visitor();
check((await other.goto(sent)).status() === 422, "a link works in another browser");
await other.getByText("asked for in another browser").waitFor();
await look(other, "mail-link-elsewhere");

await sara.goto(sent);
await look(sara, "mail-link");
await sara.getByRole("button", { name: "Sign in" }).click();
await sara.getByRole("heading", { name: "Team Shop" }).waitFor();
check((await sara.goto(sent)).status() === 422, "a link works twice");
await sara.getByText("works once only").waitFor();

await close();
