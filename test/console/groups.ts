import assert from "node:assert/strict";

import { AlertService } from "#proto/fleet/v1/alert";
import { AlertGroupService } from "#proto/fleet/v1/alert_group";

import { deliverAlerts } from "../../server/testing.ts";
import { openPage, signIn } from "./browser.ts";
import { alertId } from "./fleet.ts";
import { hasFocus, heading, type Story } from "./story.ts";

export const groupsOfAlerts: Story = async (at, browser) => {
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  await page.goto("/alerts?q=rule%3D%22Exec%20into%20pod%22%2C%20cluster%3Deu-9");
  await page.getByRole("link", { name: "Exec into pod" }).click();
  await page.getByRole("region", { name: "Newest alerts" }).getByText("in pod checkout-8").first().waitFor();
  assert.equal(await page.getByRole("button", { name: /Acknowledge|Resolve|Silence/ }).count(), 0);

  await context.clearCookies();
  await signIn(page, await at.token("operator"));
  await page.goto("/alerts?q=rule%3D%22Exec%20into%20pod%22%2C%20cluster%3Deu-9");
  await page.getByRole("checkbox", { name: "Choose Exec into pod on eu-9" }).check();
  await page
    .getByRole("region", { name: "Chosen groups" })
    .getByRole("button", { name: "Acknowledge" })
    .click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Note (may stay empty)").fill("I look");
  await dialog.getByRole("button", { name: "Acknowledge" }).click();
  await page.getByRole("table", { name: "Groups of alerts" }).getByText("acknowledged").first().waitFor();
  await page.getByRole("link", { name: "Exec into pod" }).click();
  await page.getByRole("region", { name: "History" }).getByText("I look").waitFor();

  const silences = page.getByRole("button", { name: "Silence" });
  await silences.click();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await hasFocus(silences);
  await silences.click();
  const matchers = 'rule="Exec into pod", cluster="eu-9", actor="alice@example.com"';
  assert.equal(await dialog.getByLabel("What is known").inputValue(), matchers);
  await dialog.getByText("It marks 1 group that is here").waitFor();
  const everybody = dialog.getByRole("checkbox", { name: "Neither a rule nor an actor is named" });
  await dialog.getByLabel("What is known").fill('cluster="eu-9"');
  await everybody.waitFor();
  await dialog.getByLabel("Reason").fill("red team");
  await dialog.getByRole("button", { name: "Silence" }).click();
  // The browser keeps the form until it is ticked.
  await dialog.locator("input[type=checkbox]:invalid").waitFor();
  await dialog.getByLabel("What is known").fill(matchers);
  await everybody.waitFor({ state: "detached" });
  await dialog.getByRole("button", { name: "Silence" }).click();
  await page.getByText("Silenced by").waitFor();
  await hasFocus(silences);
  await page.goto("/alerts/silences");
  const silence = page.getByRole("list", { name: "Silences" }).getByRole("listitem");
  await silence.getByText("red team").waitFor();
  await silence.getByRole("button", { name: "End now" }).click();
  await dialog.getByRole("button", { name: "End it" }).click();
  await page.getByText("Nothing is silent").waitFor();
  // What opened the dialog is gone, so that keys go on in the page.
  await hasFocus(page.getByRole("main"));
  assert.deepEqual(complaints, []);
  await context.close();
};

/** The list is read anew every few seconds; what somebody writes meanwhile is not taken away. */
export const writesOn: Story = async (at, browser) => {
  const { page, context } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("operator"));
  await page.goto("/alerts?q=cluster%3Deu-21");
  await page.getByRole("checkbox", { name: "Choose Exec into pod on eu-21" }).check();
  const region = page.getByRole("region", { name: "Chosen groups" });
  await region.getByText("1 group chosen").waitFor();
  await region.getByRole("button", { name: "Acknowledge" }).click();
  const dialog = page.getByRole("dialog");
  const note = dialog.getByLabel("Note (may stay empty)");
  await note.fill("I look");
  // Somebody else is faster, and the group leaves; the list behind the dialog waits until it is over.
  const service = await at.client(AlertGroupService, "operator");
  const { groups } = await service.listAlertGroups({ filter: { matchers: "cluster=eu-21" } });
  await service.resolveAlertGroups({ groups: groups.map(({ id, generation }) => ({ id, generation })) });
  const listed = () => page.waitForResponse(/\/ListAlertGroups$/);
  // One may have been on its way; the next one knows.
  await listed();
  await listed();
  assert.equal(await note.inputValue(), "I look");
  await dialog.getByRole("button", { name: "Acknowledge" }).click();
  await dialog.getByRole("alert").getByText("ABORTED").waitFor();
  const row = page.locator("[data-row]");
  assert.equal(await row.count(), 1, "nothing moves behind a dialog");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await region.getByRole("button", { name: "Choose none" }).click();
  await row.waitFor({ state: "detached" });
  await context.close();
};

/** The cluster has as many groups as are kept apart; a message about one more leads by its own group's name. */
export const lostGroup: Story = async (at, browser) => {
  const rule = "Token read";
  const cluster = "r000000000000024";
  const alert = {
    id: alertId(20_000),
    timeUs: BigInt(Date.now() - 7_200_000) * 1000n,
    clusterId: `cl_${cluster}`,
    agentId: `ag_${cluster}`,
    rule,
    priority: 4,
    source: "k8s_audit",
    output: "mallory read a token",
    body: JSON.stringify({ output_fields: { "ka.user.name": "mallory" } }),
    auditId: "",
    tags: [],
    rulesDigest: "",
  };
  await deliverAlerts(at.db, [alert], new Date(), { storedPerHourMax: 20_000, groupsMax: 1 });
  const service = await at.client(AlertService, "viewer");
  const { alerts } = await service.listAlerts({ filter: { rules: [rule] } });
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  const link = `/alerts/${alerts[0]?.groupId}?alert=${alert.id}.${alert.timeUs / 1000n}`;
  // That it cannot be told where they are counted is said, and the rest stands all the same.
  await page.route(/\/ListAlertGroups$/, (route) =>
    route.fulfill({
      status: 403,
      contentType: "application/json",
      body: '{"code":"permission_denied","message":"Groups are for others"}',
    }),
  );
  await page.goto(link);
  await page.getByRole("alert").getByText("Groups are for others").waitFor();
  await page.getByRole("link", { name: "The alerts of this rule, cluster and actor" }).waitFor();
  await page.unrouteAll({ behavior: "wait" });
  await page.goto(link);
  await page.getByText("No group of its own is kept for what mallory did in eu-24").waitFor();
  await page.getByRole("link", { name: "The group of many actors" }).click();
  await heading(page, rule);
  await page.getByRole("region", { name: "Newest alerts" }).getByText("mallory read a token").waitFor();
  await page.goto(link);
  await page.getByRole("link", { name: "The alerts of this rule, cluster and actor" }).click();
  const list = page.getByRole("table", { name: "Alerts" });
  await list.getByRole("button", { name: /^Token read/ }).waitFor();
  assert.equal(await list.getAttribute("aria-rowcount"), "2", "no other alert than this one");
  // Nothing is known of what the link does not name.
  await page.goto(`/alerts/${alerts[0]?.groupId}`);
  await page.getByRole("alert").getByText("NOT_FOUND").waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
};
