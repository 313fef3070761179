/** What agents are offered and told about candidates, and what becomes of their reports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { sql } from "../../store/drizzle.ts";
import type { SyncRequestSchema } from "#proto/agent/v1/agent";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { verifyShadow } from "#trust";

import { fetchBlob, newSimSession, newSimState, takeIn } from "../../../test/support/sim-agent.ts";
import { openLink } from "../../../test/support/sim-link.ts";
import { startTestFleet } from "../agent-service/fixture.ts";

test("only agents that know of shadows are offered one, and their reports are summed in bounds", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const rollouts = await fleet.at.client(RolloutService);
  const identity = await fleet.enrol("eu-1");
  const state = newSimState(identity);
  const link = openLink("long-poll", identity);
  t.after(() => link.close());
  const session = newSimSession(identity, "long-poll", state);
  const say = async (shadow?: MessageInitShape<typeof SyncRequestSchema>["shadow"]) => {
    const response = await link.say(session.message(shadow === undefined ? {} : { shadow }));
    await takeIn(identity, state, link, response, () => "ignore");
    return response;
  };
  await say();
  const digest = fleet.bundles[0]?.digest ?? "";
  await assert.rejects(fetchBlob(link, digest), /not_found/i, "nobody gave it to the cluster yet");
  const spec = { kind: BundleKind.RULES, shadowSeconds: 3600 };
  const { rollout } = await rollouts.startRollout({ spec });
  const rolloutId = rollout?.id ?? "";
  assert.equal((await say()).shadow, undefined, "an older agent would be told again and again");
  const { shadow: offer } = await say({});
  assert.ok(offer?.order);
  const { payloadType, payload, signatures } = offer.order;
  const envelope = {
    payloadType,
    payload,
    signatures: signatures.map(({ keyId, signature }) => ({ keyId, signature })),
  };
  const order = verifyShadow(state.trusted, envelope, { ...identity, now: new Date() });
  assert.ok(order.ok, JSON.stringify(order));
  assert.deepEqual([order.value.rolloutId, `sha256:${order.value.target.sha256}`], [rolloutId, digest]);
  assert.ok((await fetchBlob(link, digest)).length > 0);

  const held = { rolloutId, isEvaluating: true };
  assert.equal((await say(held)).shadow, undefined, "what it holds is not offered again");
  const rules = Array.from({ length: 300 }, (_, i) => ({
    rule: `rule ${i}`,
    now: 2n,
    candidate: 3n,
    new: i === 7 ? 1n << 63n : 1n,
    samples: Array.from({ length: i < 60 ? 9 : 0 }, () => ({
      fields: { "ka.user.name": `al\0ice${"x".repeat(300)}` },
    })),
  }));
  const report = { state: "evaluating", events: 10n, rules };
  await say({ ...held, report: { ...report, events: 5n } });
  await say({ ...held, report });
  await say({ rolloutId: "ro_of_nobody", report });
  const { rules: sums, shadow } = await rollouts.getShadow({ rolloutId });
  assert.deepEqual([shadow?.agents, shadow?.evaluated, shadow?.events, sums.length], [1, 1, 10n, 200]);
  assert.deepEqual([sums[0]?.rule, sums[0]?.new], ["rule 7", 1n << 48n]);
  const examples = sums.flatMap((sum) => sum.examples);
  assert.ok(
    examples.length === 40 && examples.every(({ fields }) => (fields["ka.user.name"] ?? "").length === 128),
  );
  const { rows } = await fleet.at.db.execute(sql`select 1 from shadow_reports`);
  assert.equal(rows.length, 1);

  const { rollout: seen } = await rollouts.getRollout({ rolloutId });
  assert.equal(seen?.shadow?.events, 10n);
  await rollouts.abortRollout({ rolloutId, generation: seen?.generation ?? 0n });
  let told = await say(held);
  while (told.shadow === undefined) told = await say(held);
  assert.equal(told.shadow.rolloutId, "", "it is told to stop");
  assert.equal((await say({ rolloutId, isEvaluating: false })).shadow, undefined);
  await assert.rejects(fetchBlob(link, digest), /not_found/i);

  const plain = await rollouts.startRollout({ spec: { kind: BundleKind.RULES } });
  const refusal = await rollouts.getShadow({ rolloutId: plain.rollout?.id ?? "" }).then(
    () => assert.fail("there is none"),
    (error: unknown) => ConnectError.from(error),
  );
  assert.equal(refusal.code, Code.FailedPrecondition);
  assert.match(refusal.rawMessage, /--shadow 30m/);
});
