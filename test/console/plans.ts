import assert from "node:assert/strict";

import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState } from "#proto/fleet/v1/rollout";

import { sql } from "../../server/store/drizzle.ts";
import { openPage, signIn } from "./browser.ts";
import type { Story } from "./story.ts";

/** Labels whose clusters take a second person. */
export const guarded = "region=tr";

export const planToApprove: Story = async (at, browser) => {
  const rollouts = await at.client(RolloutService, "operator");
  const { rollout } = await rollouts.startRollout({
    spec: {
      kind: BundleKind.RULES,
      bundle: "starter@1.1.0",
      selector: { requirements: [{ key: "region", operator: 1, values: ["tr"] }] },
      allowCoverageLoss: true,
    },
  });
  assert.equal(rollout?.state, RolloutState.AWAITING_APPROVAL);
  const { page, context, complaints } = await openPage(browser, at.baseUrl);
  await signIn(page, await at.token("viewer"));
  await page.goto(`/rollouts/${rollout.id}`);
  const plan = page.getByRole("region", { name: "What it would do" });
  await plan.getByText("starter@1.1.0 to 8 clusters in").waitFor();
  await plan.getByRole("list", { name: "Waves of the plan" }).getByText("tr-2 (starter@1.0.0)").waitFor();
  await plan.getByText("No wave is watched").waitFor();
  await plan
    .getByText(/^Added:.*Attach to pod/)
    .first()
    .waitFor();
  await page.getByText("has not begun").waitFor();
  assert.equal(await page.getByRole("button", { name: "Approve" }).count(), 0, "viewers are offered nothing");

  // The fleet changes meanwhile: another plan than that of the rollout is approved by nobody.
  await context.clearCookies();
  await signIn(page, await at.token("approver"));
  const move = (from: string, to: string) =>
    at.db.execute(
      sql`update clusters set labels = labels || jsonb_build_object('region', ${to}::text) where name = 'tr-5' and labels ->> 'region' = ${from}`,
    );
  await move("tr", "za");
  await page.goto(`/rollouts/${rollout.id}`);
  await plan.getByText("The plan has changed since the rollout was started").waitFor();
  await page.getByRole("button", { name: "Reject" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Approve" }).count(), 0);
  const dialog = page.getByRole("dialog");
  const pauses = "Pause it: its plan has changed";
  // A plan that is the old one again by then is not approved by who only wanted a pause.
  await page.getByRole("button", { name: pauses }).click();
  await move("za", "tr");
  await dialog.getByRole("button", { name: pauses }).click();
  await dialog.getByText("Its plan is again what it was").waitFor();
  await move("tr", "za");
  await dialog.getByRole("button", { name: pauses }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByText("This is the new one").waitFor();

  // Who operates the fleet takes the new plan, and who approves says yes to that one.
  await context.clearCookies();
  await signIn(page, await at.token("operator"));
  await page.goto(`/rollouts/${rollout.id}`);
  await page.getByRole("button", { name: "Take the new plan" }).click();
  await dialog.getByRole("button", { name: "Take the new plan" }).click();
  await dialog.waitFor({ state: "detached" });
  const taken = (await rollouts.getRollout({ rolloutId: rollout.id })).rollout;
  assert.equal(taken?.state, RolloutState.AWAITING_APPROVAL);
  assert.deepEqual(taken.approval?.given ?? [], [], "nothing was approved on the way");
  await context.clearCookies();
  await signIn(page, await at.token("approver"));
  await page.goto(`/rollouts/${rollout.id}`);
  await plan.locator(`code[title="${taken.planDigest}"]`).waitFor();
  await page.getByRole("button", { name: "Approve" }).click();
  await dialog.getByLabel("Reason").fill("looked at it");
  const asked = page.waitForRequest(/\/ApproveRollout$/);
  await dialog.getByRole("button", { name: "Approve" }).click();
  assert.ok((await asked).postData()?.includes(taken.planDigest), "the plan that was shown");
  await page.getByRole("region", { name: "History" }).getByText("looked at it").waitFor();
  // It has begun: its waves are its plan from now on.
  await plan.waitFor({ state: "detached" });
  await move("za", "tr");
  assert.deepEqual(complaints, []);
  await context.close();
};
