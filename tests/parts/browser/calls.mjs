// Calls that pages offer, made at the real gateway.
import { execFileSync } from "node:child_process";

// What a page offers to be copied.
export const commands = (page) => page.locator("[data-copy] code").allTextContents();

// Runs a command that a page offers to be copied, and answers the status.
export function run(command) {
  const status = execFileSync("bash", ["-c", `${command} --silent --output /dev/null --max-time 5 --write-out '%{http_code}'`]);
  return status.toString();
}

// Runs it until the answer is as wanted, a while at most.
export async function until(command, wanted) {
  let last;
  for (let tries = 0; tries < 100; tries++) {
    last = run(command);
    if (last === wanted) return last;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return last;
}
