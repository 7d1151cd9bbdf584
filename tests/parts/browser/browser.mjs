// A browser, and what must hold for every page that it sees.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const base = process.env.PORTAL;
const folder = process.env.SCREENSHOTS;

// Everything that is wrong; each a sentence.
export const wrong = [];

export function check(holds, sentence) {
  if (!holds) wrong.push(sentence);
}

let browser;

export async function open() {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

// Prints what is wrong, and ends the program with it.
export async function close() {
  await browser.close();
  for (const sentence of wrong) console.error(sentence);
  process.exit(wrong.length > 0 ? 1 : 0);
}

// A page of its own, with cookies of its own. What it asks of anybody but the portal, and what its policy forbids, is wrong.
export async function visitor(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: false, ...options });
  const page = await context.newPage();
  // A gateway may be asked by the page of the portal, whatever its name.
  const isGateway = (url) => options.gateway && new URL(url).port === options.gateway;
  const allowed = [base, ...(options.allowed ?? [])];
  const elsewhere = () => (options.allowed ?? []).some((one) => page.url().startsWith(one));
  page.on("request", (request) => {
    const url = request.url();
    if (elsewhere()) return;
    check(allowed.some((one) => url.startsWith(one)) || url.startsWith("data:") || isGateway(url), `${page.url()} asks ${url}`);
  });
  page.on("pageerror", (error) => check(elsewhere(), `${page.url()}: ${error}`));
  page.on("console", (message) => {
    const expected = /status of (401|403|404|409|422|429|503)/;
    if (message.type() === "error" && !elsewhere() && !expected.test(message.text())) wrong.push(`${page.url()}: ${message.text()}`);
  });
  return page;
}

export async function signIn(page, mail) {
  await page.goto(`${base}/sign-in`);
  await page.locator(`input[name="mail"][value="${mail}"]`).check();
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname === "/");
}

// Looks at a page in both themes and at two widths.
export async function look(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of [[1280, 900], [390, 844]]) {
      await page.setViewportSize({ width, height });
      // A page that is just coming may have no document yet.
      const sizes = await page.waitForFunction(() => {
        const root = document.documentElement;
        return root && document.readyState === "complete" && { wider: root.scrollWidth - root.clientWidth };
      });
      const { wider } = await sizes.jsonValue();
      check(wider <= 0, `${name} at ${width}: ${wider} pixels wider than the screen`);
      // A world of its own: the page's policy forbids scripts that are not its own, and it stays in force.
      const session = await page.context().newCDPSession(page);
      const { frameTree } = await session.send("Page.getFrameTree");
      const world = { frameId: frameTree.frame.id, worldName: "axe" };
      const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", world);
      await session.send("Runtime.evaluate", { expression: axe, contextId });
      const run = "axe.run(document, { resultTypes: ['violations'] }).then((found) => JSON.stringify(found.violations))";
      const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
        expression: run, contextId, awaitPromise: true, returnByValue: true,
      });
      check(!exceptionDetails, `${name}: axe does not run: ${JSON.stringify(exceptionDetails)}`);
      for (const violation of JSON.parse(result.value ?? "[]")) {
        const where = violation.nodes.map((node) => `${node.html} (${node.failureSummary})`).slice(0, 3).join("; ");
        wrong.push(`${name} at ${width}, ${colorScheme}: ${violation.id}: ${violation.help}: ${where}`);
      }
      await session.detach();
      if (folder) await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png`, fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}
