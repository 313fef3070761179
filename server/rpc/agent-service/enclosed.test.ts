/** Bundles that come with the assignment that names them, as agents rely on it. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";

import type { SyncResponse } from "#proto/agent/v1/agent";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";

import { newSimSession, newSimState, takeIn } from "../../../test/support/sim-agent.ts";
import { openLink, type SimTransport } from "../../../test/support/sim-link.ts";
import { startTestFleet, until, type TestFleet } from "./fixture.ts";

async function roll({ at }: TestFleet, bundle: string): Promise<void> {
  const rollouts = await at.client(RolloutService);
  for (const { id, generation } of (await rollouts.listRollouts({ unfinished: true })).rollouts) {
    await rollouts.abortRollout({ rolloutId: id, generation });
  }
  await rollouts.startRollout({ spec: { kind: BundleKind.RULES, bundle, deadlineSeconds: 3_600 } });
}

/** An enrolled agent that says nothing by itself. */
async function arrive(
  t: TestContext,
  fleet: TestFleet,
  transport: SimTransport,
  capabilities = ["enclosed"],
) {
  const identity = { ...(await fleet.enrol(`eu-${transport}`)), capabilities };
  const state = newSimState(identity);
  const link = openLink(transport, identity);
  t.after(() => link.close());
  const session = newSimSession(identity, transport, state);
  const take = (response: SyncResponse) => takeIn(identity, state, link, response);
  /** The answer to a report; on a stream the server may have said something by itself before it. */
  async function report(): Promise<SyncResponse> {
    const request = session.message({}, true);
    let answer = await link.say(request);
    while (answer.ackSequence < request.sequence) {
      answer = await link.hear(() => session.message());
    }
    return answer;
  }
  return { state, link, session, take, report };
}

function contentOf({ bundles }: SyncResponse): readonly (readonly [string, Buffer])[] {
  return bundles.map(({ digest, gzip }) => [digest, gunzipSync(gzip)]);
}

for (const transport of ["stream", "long-poll"] as const) {
  test(`an agent gets the very bytes of a bundle with its assignment, and none that it runs, over ${transport}`, async (t) => {
    const fleet = await startTestFleet(t);
    const [old, next] = fleet.bundles;
    assert.ok(old && next);
    const { state, take, report } = await arrive(t, fleet, transport);
    await roll(fleet, "starter@1.0.0");
    const answer = await until("it is assigned", async () => {
      const said = await report();
      return said.assignment && said;
    });
    assert.deepEqual(contentOf(answer), [[old.digest, Buffer.from(old.bytes)]]);
    await take(answer);
    assert.equal((await report()).assignment, undefined);
    await roll(fleet, "starter@1.1.0");
    // It goes on with what it had, and says so.
    state.observedGeneration = 0n;
    const both = await until("another is assigned", async () => {
      const said = await report();
      return Buffer.from(said.assignment?.payload ?? []).includes("1.1.0") && said;
    });
    assert.deepEqual(contentOf(both), [[next.digest, Buffer.from(next.bytes)]]);
    state.running.set("rules", { sha256: next.target.sha256, sinceMs: 1_000 });
    await until("it is offered alone", async () => {
      const { assignment, bundles } = await report();
      return assignment !== undefined && bundles.length === 0;
    });
  });
}

test("an assignment that is offered again and again brings its bundle once in a session", async (t) => {
  const fleet = await startTestFleet(t);
  const { link, session } = await arrive(t, fleet, "stream");
  await roll(fleet, "starter@1.0.0");
  const counts: number[] = [];
  await until("it was offered three times", async () => {
    const said = await link.say(session.message());
    if (said.assignment !== undefined) counts.push(said.bundles.length);
    return counts.length === 3;
  });
  assert.deepEqual(counts, [1, 0, 0]);
});

test("agents that do not know of enclosed bundles, or have not said what they run, are sent none", async (t) => {
  const fleet = await startTestFleet(t);
  const plain = await arrive(t, fleet, "stream", []);
  await roll(fleet, "starter@1.0.0");
  const answer = await until("it is assigned", async () => {
    const said = await plain.link.say(plain.session.message());
    return said.assignment && said;
  });
  assert.deepEqual(answer.bundles, []);
  await plain.link.close();
  const silent = await arrive(t, fleet, "long-poll");
  const first = await until("it is assigned", async () => {
    const said = await silent.link.say(silent.session.message({}, false));
    return said.assignment && said;
  });
  assert.deepEqual(first.bundles, []);
  assert.equal((await silent.link.say(silent.session.message({}, true))).bundles.length, 1);
});
