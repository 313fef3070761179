/** The console in a real Chromium against a real server. Where there is no Chromium the tests say so and are left out. */
import assert from "node:assert/strict";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { AlertGroupService } from "#proto/fleet/v1/alert_group";
import { RolloutService } from "#proto/fleet/v1/rollout";

import { buildConsole, consoleDist } from "../../tools/console.ts";
import { freePorts } from "../support/free-ports.ts";
import { startOidcProvider } from "../support/oidc-provider.ts";
import { chromiumPath, downloadOf, openPage, signIn, startChromium, whyNoChromium } from "./browser.ts";
import { hostile, startConsoleFleet, type ConsoleFleet } from "./fleet.ts";
import { deadLetters, rareAlerts, rowsChangeHands, rowsStay, severeAndAnswered } from "./alerts.ts";
import { groupsOfAlerts, lostGroup, writesOn } from "./groups.ts";
import { guarded, planToApprove } from "./plans.ts";
import { contrasts, poorContrasts } from "./contrasts.ts";
import { heading, type Story } from "./story.ts";
import { sameNumbers } from "./same-numbers.ts";

const skip = chromiumPath === undefined ? whyNoChromium : false;

const firstLoadBytesMax = 250 * 1024;

test("the first load of the console weighs at most 250 KB, and nothing in it is of others or inline", async () => {
  await buildConsole();
  const page = readFileSync(join(consoleDist, "index.html"), "utf8");
  const named = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = ""]) => path);
  assert.ok(named.length >= 4, "the rule must not pass because it saw nothing");
  for (const path of named) assert.match(path, /^\/[a-z]/, "of our own origin");
  assert.doesNotMatch(page, /<script>|<style|\son\w+=|style=/);
  // What the page loads at once, and the charts besides, which follow on the first page.
  const files = [
    ...new Set([...named, ...globSync("assets/*", { cwd: consoleDist }).map((file) => `/${file}`)]),
  ];
  const bytes = [page, ...files.map((file) => readFileSync(join(consoleDist, file)))]
    .map((content) => gzipSync(content, { level: 9 }).length)
    .reduce((sum, length) => sum + length, 0);
  assert.ok(bytes <= firstLoadBytesMax, `${bytes} bytes`);
});

/** A server and a browser cost seconds, so that all stories share them. */
test("the console in Chromium", { skip }, async (t) => {
  await buildConsole();
  const env = await providerFor(t);
  const at = await startConsoleFleet(t, { clusters: 24, env });
  const browser = await startChromium(t, at);
  for (const [name, story] of Object.entries(stories)) await t.test(name, () => story(at, browser, t));
});

/** An identity provider that knows the console, and the server's environment for both to find each other. */
async function providerFor(t: TestContext): Promise<Readonly<Record<string, string>>> {
  const port = await freePorts();
  const { issuer } = await startOidcProvider(t, [`https://localhost:${port}/console/callback`]);
  const folder = mkdtempSync(join(tmpdir(), "falconry-console-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "oidc.yaml");
  const rule = "{ claim: groups, value: payments, role: operator, scope: { team: payments } }";
  writeFileSync(file, `issuer: ${issuer}\nclientId: console\nrules:\n  - ${rule}\n`);
  return {
    FALCONRY_LISTEN: `127.0.0.1:${port}`,
    FALCONRY_OIDC_FILE: file,
    FALCONRY_APPROVAL_LABELS: guarded,
  };
}

const keysAlone: Story = async (at, browser) => {
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await page.goto("/");
  await page.getByLabel("API token").fill("at_wrong.token");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("alert").getByText("UNAUTHENTICATED").waitFor();

  await signIn(page, await at.token("viewer"));
  await page
    .getByRole("region", { name: "Region eu" })
    .getByRole("link", { name: /^eu-21: silent/ })
    .waitFor();
  await page.getByRole("region", { name: "Needs you" }).getByText("was last heard of 20 min ago").waitFor();
  const [cookie] = await context.cookies();
  assert.equal(cookie?.httpOnly, true);
  assert.equal(await page.evaluate("JSON.stringify([document.cookie, {...sessionStorage}])"), '["",{}]');

  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await heading(page, "Clusters");
  await page.keyboard.press("/");
  await page.keyboard.type("region=eu 21");
  // A head and one row.
  await page.locator('[role=table][aria-rowcount="2"]').waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await heading(page, "eu-21");
  assert.match(page.url(), /\/clusters\/eu-21$/);
  await page
    .getByRole("region", { name: "What it runs" })
    .getByRole("link", { name: "starter@1.0.0" })
    .first()
    .waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API token").waitFor();
  assert.deepEqual(await context.cookies(), []);
  assert.deepEqual(complaints, []);
  await context.close();
};

const byProvider: Story = async (at, browser) => {
  const { page, context } = await openPage(browser, at.baseUrl);
  await page.goto("/clusters?q=team%3Dpayments");
  await page.getByRole("link", { name: /^Sign in with 127\.0\.0\.1/ }).click();
  // The provider's own forms: whoever calls himself bob is bob, and agrees.
  await page.locator("input[name=login]").fill("bob");
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
  await heading(page, "Clusters");
  await page.getByText("oidc:bob@example.com").waitFor();
  await page.getByText("operator · team=payments").waitFor();
  const names = (await context.cookies(at.baseUrl)).map(({ name }) => name);
  assert.deepEqual(names, [`__Host-falconry-${new URL(at.baseUrl).port}`]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API token").waitFor();
  // A code of another browser's sign-in is worth nothing in this one.
  const answer = await page.goto("/console/callback?code=stolen&state=guessed");
  assert.equal(answer?.status(), 403);
  await page.getByText("not the sign-in that this browser began").waitFor();
  await context.close();
};

const decisions: Story = async (at, browser) => {
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  await page.goto(`/rollouts/${at.rolloutId}`);
  await page.getByText("has not seen the assignment yet").first().waitFor();
  assert.equal(await page.getByRole("button", { name: "Abort" }).count(), 0, "viewers are offered nothing");

  await context.clearCookies();
  await signIn(page, await at.token("operator"));
  await page.getByRole("link", { name: "starter@1.1.0" }).click();
  await page.getByRole("button", { name: "Pause" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("No new wave begins").waitFor();
  // Somebody else is faster.
  const rollouts = await at.client(RolloutService, "operator");
  const { rollout } = await rollouts.getRollout({ rolloutId: at.rolloutId });
  await rollouts.pauseRollout({ rolloutId: at.rolloutId, generation: rollout?.generation ?? 0n });
  await dialog.getByRole("button", { name: "Pause" }).click();
  await dialog
    .getByRole("alert")
    .getByText(/ABORTED|FAILED_PRECONDITION/)
    .waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();

  // What the other did arrives by itself.
  await page.getByRole("button", { name: "Resume" }).click();
  await dialog.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  const history = page.getByRole("region", { name: "History" });
  await history.getByText("resume").first().waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
};

const everyPage: Story = async (at, browser) => {
  const digest = encodeURIComponent(at.bundles[1]?.digest ?? "");
  const pages: readonly (readonly [path: string, seen: string])[] = [
    ["/", hostile],
    ["/clusters", "us-4"],
    ["/clusters/us-4", hostile],
    ["/rollouts", "starter@1.1.0"],
    [`/rollouts/${at.rolloutId}`, "canary us"],
    ["/bundles", "starter@1.1.0"],
    [`/bundles/${digest}?against=starter%401.0.0`, "+ - rule: Attach to pod"],
    ["/rules", hostile],
    ["/reports?report=exec", hostile],
    ["/alerts", hostile],
    ["/alerts/all", hostile],
    [`/alerts/${await groupId(at)}`, "Newest alerts"],
    ["/alerts/silences", "Nothing is silent"],
    ["/alerts/notifications", "Dead letters"],
    ["/audit", "RolloutService/StartRollout"],
  ];
  const { page, context, complaints } = await openPage(browser, at.baseUrl, { width: 360, height: 760 });
  await signIn(page, await at.token("admin"));
  for (const [path, seen] of pages) {
    await page.goto(path);
    await page.getByText(seen).first().waitFor();
    const isTaken = await page.evaluate(
      "document.querySelector('#root img[src=x], #root script') !== null || document.title.includes('taken')",
    );
    assert.equal(isTaken, false, `${path}: what a cluster wrote became more than text`);
    assert.deepEqual(await poorContrasts(page), [], `${path} is hard to read`);
    const beyond = await page.evaluate<number>(
      "document.documentElement.scrollWidth - document.documentElement.clientWidth",
    );
    assert.ok(beyond <= 0, `${path} is ${beyond} px wider than a phone`);
  }
  await page.goto("/bundles/none");
  await page.getByRole("alert").getByText("NOT_FOUND").waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
};

/** A group whose rule is what a cluster in wrong hands made up. */
async function groupId(at: ConsoleFleet): Promise<string> {
  const service = await at.client(AlertGroupService, "viewer");
  const { groups } = await service.listAlertGroups({ filter: { rules: [hostile] }, pageSize: 1 });
  return groups[0]?.id ?? "";
}

const reports: Story = async (at, browser) => {
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  await page.goto("/reports?report=coverage&q=region%3Deu");
  const sheet = page.getByRole("region", { name: "Which clusters are watched", exact: true });
  await sheet.getByText("8 clusters healthy and proved").waitFor();
  assert.equal(await page.getByText("On a schedule").count(), 0, "viewers may not read schedules");
  await page.getByRole("button", { name: "Commands in pods" }).click();
  const alice = page.getByRole("cell", { name: "alice@example.com", exact: true }).first();
  await alice.waitFor();
  assert.deepEqual(await page.evaluate(leftWhileTyping), { buttons: 0, rows: 0 });
  await alice.waitFor();
  await page.getByRole("checkbox", { name: "user" }).check();
  await page.getByRole("cell", { name: "user 1", exact: true }).first().waitFor();
  const files: Record<string, string> = {};
  for (const format of ["HTML", "Markdown", "CSV", "JSON"]) {
    const download = await downloadOf(page, format);
    files[download.suggestedFilename()] = readFileSync(await download.path(), "utf8");
  }
  const name = "falconry-exec-last-7-days";
  assert.deepEqual(
    Object.keys(files),
    ["html", "md", "csv", "json"].map((ending) => `${name}.${ending}`),
  );
  for (const text of Object.values(files)) {
    assert.match(text, /user 1/);
    assert.doesNotMatch(text, /alice@/, "what is redacted is in no file");
  }
  assert.doesNotMatch(files[`${name}.html`] ?? "", /<script|<img/);
  assert.deepEqual(complaints, []);
  await context.close();
};

/**
 * Runs in the page: types a filter, and says whether the report of the one before is shown or could be saved then. Typing is waited for, so that a
 * wait for the answer would miss the moment.
 */
const leftWhileTyping = `(async () => {
  const box = document.querySelector("[aria-label='Clusters of the report']");
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(box, "");
  box.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise((resolve) => setTimeout(resolve, 0));
  const buttons = [...document.querySelectorAll("[aria-label=Download] button")];
  return { buttons: buttons.filter((button) => !button.disabled).length, rows: document.querySelectorAll("main td").length };
})()`;

/** What a page of yesterday's console meets when the server hands out another one, or is away for a moment. */
const partsThatDoNotCome: Story = async (at, browser) => {
  const { page, context } = await openPage(browser, at.baseUrl);
  const parts = /\/assets\/(rules|reports)-/;
  await signIn(page, await at.token("viewer"));
  await page.route(parts, (route) => route.abort());
  await page.getByRole("link", { name: "Rules", exact: true }).click();
  const alert = page.getByRole("main").getByRole("alert");
  await alert.getByText("The console was renewed or could not be read: reload").waitFor();
  await page.getByRole("link", { name: "Reports", exact: true }).click();
  await alert.getByText("could not be read").waitFor();
  await page.unroute(parts);
  await alert.getByRole("button", { name: "Reload" }).click();
  await page.getByRole("button", { name: "Commands in pods" }).waitFor();
  await context.close();
};

const stories: Readonly<Record<string, Story>> = {
  "who signs in sees the fleet, finds a cluster by keys alone, and signs out": keysAlone,
  "who signs in with the identity provider comes back to where he was, as what its claims make him":
    byProvider,
  "a decision is asked for, refused in the server's words when somebody was faster, and seen when taken":
    decisions,
  "who approves a rollout sees its plan before, and says yes to that plan alone": planToApprove,
  "who may looks after a group of alerts, silences it with what it has in common, and ends that; who may not is offered none of it":
    groupsOfAlerts,
  "who writes a note about groups keeps it when they leave meanwhile, and the list behind it stays": writesOn,
  "severe alerts need somebody, a chart is read by keys, and an alert has an address, says what was done about it and stays open when it leaves the list":
    severeAndAnswered,
  "no row of a list moves while somebody chooses, what came meanwhile is shown when it is asked for, and what has left holds nothing":
    rowsStay,
  "a list is scrolled without building rows, and keys, voices and the focus find each row as it is seen":
    rowsChangeHands,
  "a list in which little matches says how far back it looked and looks no further by itself, and on a phone nothing moves when it comes":
    rareAlerts,
  "a link to a group that is not kept apart leads to where its alerts are counted, and to those like it":
    lostGroup,
  "what could not be delivered is seen by who may look, and sent again by who may": deadLetters,
  "a report is read in the page, and what is redacted in it is in none of its files": reports,
  "who ran commands in production last week, and which, is the same by fleetctl, in files of a report, by Grafana's queries and in the console":
    sameNumbers,
  "a page whose files do not come says so, and comes with another load when they do": partsThatDoNotCome,
  "every page fits a phone and can be read there in both themes, and what clusters write is text on it":
    everyPage,
  "every text can be read on a wide screen, in both themes": contrasts,
};
