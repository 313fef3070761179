import assert from "node:assert/strict";

import { AlertGroupService } from "#proto/fleet/v1/alert_group";
import { NotificationService } from "#proto/fleet/v1/notification";

import type { Page } from "playwright-core";

import { sql } from "../../server/store/drizzle.ts";
import { deliverAlerts } from "../../server/testing.ts";
import { openPage, signIn } from "./browser.ts";
import { alertId, type ConsoleFleet } from "./fleet.ts";
import { hasFocus, heading, untilTrue, type Story } from "./story.ts";

export const severeAndAnswered: Story = async (at, browser) => {
  // However long the stories before took, there are rates of this minute and the next.
  await at.db.execute(sql`
    insert into rates (agent_id, cluster_id, minute, events, bytes, alerts, dropped, parked, lag_ms, detection_us, seconds)
    select agent_id, cluster_id, date_trunc('minute', now()) + m * interval '1 minute', events, bytes, alerts, dropped,
      parked, lag_ms, detection_us, seconds
    from rates, generate_series(-1, 1) m where minute = (select max(minute) from rates) on conflict do nothing`);
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  const needing = page.getByRole("region", { name: "Needs you" }).getByRole("list", { name: /^Alerts/ });
  await needing.getByRole("link", { name: "Privileged pod started" }).first().waitFor();
  assert.equal(await needing.getByText("Exec into pod").count(), 0, "a warning is not severe");

  const chart = page.getByRole("slider", { name: "Audit events per second of the fleet" });
  await chart.and(page.locator("[aria-valuetext*='/s at']")).waitFor();
  const newest = (await chart.getAttribute("aria-valuetext")) ?? "";
  assert.match(newest, /^[\d.,]+k?\/s at \d\d:\d\d UTC$/);
  const last = Number(await chart.getAttribute("aria-valuenow"));
  await chart.press("ArrowLeft");
  await chart.and(page.locator(`:not([aria-valuenow="${last}"])`)).waitFor();
  assert.equal(await chart.getAttribute("aria-valuenow"), `${last - 1}`, "an arrow is one minute");

  // A link to an alert shows it, with what was done about it, to whoever opens it.
  await page.goto(`/alerts/all?alert=${alertId(0)}`);
  const dialog = page.getByRole("dialog", { name: "Exec into pod" });
  await dialog.getByRole("list", { name: "Responses" }).getByText("delete-pod shop/checkout-0").waitFor();
  await dialog.getByRole("link", { name: "alice@example.com" }).click();
  await heading(page, "Exec into pod");
  const responses = page.getByRole("region", { name: "Responses" });
  await responses.getByText("delete-pod shop/checkout-0").waitFor();
  await responses.getByRole("link", { name: "alert" }).click();
  await dialog.waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  assert.doesNotMatch(page.url(), /alert=/);
  await page
    .getByRole("button", { name: /^Exec into pod/ })
    .first()
    .click();
  assert.match(page.url(), /[?&]alert=[0-9a-f]{64}\.\d+\.cl_/);
  await page.reload();
  await dialog.waitFor();

  // Who reads an alert keeps it when it leaves the list behind the dialog.
  const left = "Left while somebody read";
  await oneMore(at, 10_100, left);
  await page.goto("/alerts/all");
  const row = page.locator("[data-row]").filter({ hasText: left });
  await row.getByRole("button").click();
  const reading = page.getByRole("dialog", { name: left });
  await reading.waitFor();
  await lookAway(page);
  await at.db.execute(sql`delete from alerts where id = ${alertId(10_100)}`);
  await row.waitFor({ state: "detached" });
  assert.equal(await reading.isVisible(), true);
  assert.deepEqual(complaints, []);
  await context.close();
};

/** The list is read anew every few seconds; nothing of it moves while somebody chooses. */
export const rowsStay: Story = async (at, browser) => {
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("operator"));
  await page.goto("/alerts");
  const first = page.locator("[data-row='0']");
  const before = await first.innerText();
  const box = first.getByRole("checkbox");
  await box.check();
  await lookAway(page);
  await oneMore(at, 10_000, "Came while somebody chose");
  const region = page.getByRole("region", { name: "Chosen groups" });
  const news = region.getByRole("button", { name: "1 new" });
  await news.waitFor();
  assert.equal((await first.innerText()).split("\n")[1], before.split("\n")[1]);
  assert.equal(await box.isChecked(), true);
  await news.click();
  await first.getByText("Came while somebody chose").waitFor();
  await region.getByText("1 group chosen").waitFor();

  // A chosen group that left is chosen no longer when the list is taken in, and holds it no more.
  const chosen = page.locator("[data-row]").filter({ has: page.getByRole("checkbox", { checked: true }) });
  const link = await chosen.getByRole("link").first().getAttribute("href");
  const groupId = link?.split("/").at(-1) ?? "";
  const service = await at.client(AlertGroupService, "operator");
  const { group } = await service.getAlertGroup({ groupId });
  await service.resolveAlertGroups({ groups: [{ id: groupId, generation: group?.generation ?? 0n }] });
  await oneMore(at, 10_001, "Came when it had left");
  await lookAway(page);
  await news.click();
  await first.getByText("Came when it had left").waitFor();
  await region.waitFor({ state: "detached" });
  await lookAway(page);
  await oneMore(at, 10_002, "Came when nobody chose");
  await first.getByText("Came when nobody chose").waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
};

/** Runs in the page: scrolls to the end, a frame a step, and counts the rows that were built for it, not those that were moved. */
const scrollToTheEnd = `new Promise((resolve) => {
  const body = document.querySelector("[data-row]").parentElement;
  const known = new Set(body.children);
  const before = known.size;
  new MutationObserver((records) => records.forEach(({ addedNodes }) => addedNodes.forEach((node) => known.add(node))))
    .observe(body, { childList: true });
  const step = () => {
    const at = window.scrollY;
    window.scrollBy(0, 400);
    if (window.scrollY === at) resolve(known.size - before); else requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})`;

/** Rows in the order of the document, by which keys and voices go through them. */
const drawnRows = `[...document.querySelectorAll("[data-row]")].map((row) => Number(row.dataset.row))`;

export const rowsChangeHands: Story = async (at, browser) => {
  const { page, context, complaints } = await openPage(browser, at.baseUrl, { width: 1000, height: 400 });
  await signIn(page, await at.token("viewer"));
  await page.goto("/alerts/all");
  const first = page.locator("[data-row='0']");
  await first.waitFor();
  const before = await first.innerText();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await hasFocus(page.locator("[data-row='1'] button"));
  const built = await page.evaluate<number>(scrollToTheEnd);
  // One more place at most, because the row with the focus keeps its own.
  assert.ok(built <= 1, `${built} rows were built while the list was scrolled`);
  const last = page.locator("[data-row]").filter({ hasText: /checkout-95/ });
  await last.waitFor();
  assert.equal(
    await last.getAttribute("aria-rowindex"),
    String(Number(await last.getAttribute("data-row")) + 2),
  );
  // At rest rows stand in the document as they are seen, and the one with the focus is still there.
  await untilTrue(page, `${drawnRows}.every((row, i, all) => i === 0 || all[i - 1] < row)`);
  assert.deepEqual((await page.evaluate<readonly number[]>(drawnRows)).slice(0, 1), [1]);
  await page.keyboard.press("j");
  await hasFocus(page.locator("[data-row='2'] button"));
  await page.locator("[data-row='2']").and(page.locator(":visible")).waitFor();
  assert.ok((await page.evaluate<number>("window.scrollY")) < 600, "keys go on from there");
  await page.keyboard.press("k");
  await page.keyboard.press("k");
  await hasFocus(first.getByRole("button"));
  assert.equal((await first.innerText()).split("\n")[1], before.split("\n")[1]);
  // The list moves behind a dialog, too, and whoever closes it is back at the row that opened it.
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await page.evaluate("window.scrollTo(0, document.body.scrollHeight)");
  await last.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await hasFocus(first.getByRole("button"));
  assert.deepEqual(complaints, []);
  await context.close();
};

/** Runs before the page: adds up what moved without anybody having touched it. */
const watchShifts = `(() => {
  window.shift = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shift += entry.value)))
    .observe({ type: "layout-shift", buffered: true });
})()`;

export const rareAlerts: Story = async (at, browser) => {
  // More than one call looks at with patterns, and none of it matches.
  await at.db.execute(sql`
    insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body, rules_digest)
    select encode(sha256(i::text::bytea), 'hex'), now() - interval '20 days' - i * interval '1 second', now() - interval '20 days',
      'cl_r000000000000015', 'ag_r000000000000015', 'Noise of old', 5, 'k8s_audit', 'nothing', '{}', ''
    from generate_series(1, 2500) i`);
  const { page, context, complaints } = await openPage(browser, at.baseUrl, { width: 360, height: 760 });
  await signIn(page, await at.token("viewer"));
  await page.addInitScript(watchShifts);
  // The list is slower than what stands below it.
  await page.route(/\/ListAlerts$/, async (route) => {
    await page.getByText("By rule").waitFor({ state: "attached" });
    await page.waitForTimeout(300);
    await route.continue();
  });
  await page.goto("/alerts/all?since=7d");
  await page.locator("[data-row]").first().waitFor();
  await page.getByText("By rule").waitFor();
  await page.unrouteAll({ behavior: "wait" });
  assert.ok((await page.evaluate<number>("window.shift")) < 0.05, "what stands below the list was moved");

  await page.goto(`/alerts/all?since=30d&q=${encodeURIComponent("output=~`.*checkout-(3|5) .*`")}`);
  const list = page.getByRole("table", { name: "Alerts" });
  await list.getByText("in pod checkout-5").waitFor();
  await page.getByText(/^Looked back to 20\d\d-.*Older alerts were not looked at yet/).waitFor();
  const button = page.getByRole("button", { name: "Look further back" });
  await button.click();
  await button.waitFor({ state: "detached" });
  assert.equal(await list.getAttribute("aria-rowcount"), "3", "a head and both that match");
  await moreOfWhatIsRare(at, page);
  assert.deepEqual(complaints, []);
  await context.close();
};

/** Who looked a long way back for one alert, by keys, keeps it when another one comes. */
async function moreOfWhatIsRare(at: ConsoleFleet, page: Page): Promise<void> {
  const rule = "Seldom seen";
  await at.db.execute(sql`
    insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source, output, body, rules_digest)
    select encode(sha256('seldom'), 'hex'), now() - interval '22 days', now() - interval '22 days',
      'cl_r000000000000015', 'ag_r000000000000015', ${rule}, 5, 'k8s_audit', 'long ago', '{}', ''`);
  await page.goto(`/alerts/all?since=30d&q=${encodeURIComponent('rule=~"Seldom.*"')}`);
  const button = page.getByRole("button", { name: "Look further back" });
  await button.focus();
  await page.keyboard.press("Enter");
  const list = page.getByRole("table", { name: "Alerts" });
  await list.getByText("long ago").waitFor();
  await button.waitFor({ state: "detached" });
  await lookAway(page);
  await oneMore(at, 10_200, rule);
  await list.getByText("somebody did something").waitFor();
  await list.getByText("long ago").waitFor();
  assert.equal(await button.count(), 0, "the list began anew");
}

/** A pointer that rests on the list holds it by itself. */
const lookAway = (page: Page) => page.mouse.move(0, 0);

/** An alert that begins a group of its own. */
async function oneMore({ db }: ConsoleFleet, n: number, rule: string): Promise<void> {
  const cluster = "r000000000000015";
  await deliverAlerts(
    db,
    [
      {
        id: alertId(n),
        timeUs: BigInt(Date.now()) * 1000n,
        clusterId: `cl_${cluster}`,
        agentId: `ag_${cluster}`,
        rule,
        priority: 5,
        source: "k8s_audit",
        output: "somebody did something",
        body: "{}",
        auditId: `audit-${n}`,
        tags: [],
        rulesDigest: "",
      },
    ],
    new Date(),
  );
}

export const deadLetters: Story = async (at, browser) => {
  const service = await at.client(NotificationService, "admin");
  const settings = { url: "https://hooks.invalid/soc" };
  const secrets = { hmac: "a-very-secret-key-of-32-characters" };
  await service.putReceiver({ name: "soc", kind: "webhook", settings, secrets });
  await service.addRoute({ name: "severe", receiver: "soc", matchers: "priority>=critical, team=nobody" });
  const entry = { rule: "Exec into pod", cluster: "eu-9", priority: 2, count: 1 };
  const message = { id: "m1", route: "severe", firing: [entry], resolved: [], leftOut: 0, labels: {} };
  await at.db.execute(sql`
    insert into notification_deliveries (id, receiver, route, message, state, attempts, due_at, failure, created_at, dead_at)
    values ('nd_1', 'soc', 'severe', ${JSON.stringify(message)}::jsonb, 'dead', 12, now(), 'HTTP 503 of hooks.invalid', now(), now())`);
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  await page.goto("/alerts/notifications");
  await page.getByText("for operators and admins of the whole fleet").waitFor();
  assert.equal(await page.getByRole("link", { name: "Notifications" }).count(), 0);

  await context.clearCookies();
  await signIn(page, await at.token("admin"));
  await page.goto("/alerts");
  await page.getByRole("link", { name: "Notifications" }).click();
  await page.getByRole("list", { name: "Receivers" }).getByText("0 waiting, 1 dead").waitFor();
  await page.getByRole("list", { name: "Routes" }).getByText("priority>=critical").waitFor();
  const letters = page.getByRole("region", { name: "Dead letters" });
  await letters.getByText("HTTP 503 of hooks.invalid").waitFor();
  await letters.getByRole("button", { name: "Send again: [Critical] Exec into pod in eu-9" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Send again" }).click();
  await letters.getByText("No message was given up").waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
};
