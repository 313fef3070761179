import assert from "node:assert/strict";
import { test } from "node:test";

import { toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BundleKind } from "#proto/fleet/v1/common";
import { FreezeService } from "#proto/fleet/v1/freeze";
import { RolloutSchema, RolloutService, type Rollout } from "#proto/fleet/v1/rollout";
import { OfflinePolicy } from "#proto/fleet/v1/rollout_spec";

import { startSimAgent } from "../../../test/support/sim-agent.ts";
import { startTestFleet } from "../agent-service/fixture.ts";

/** All but the words of its state, which the loop of rollouts may have changed by now. */
function shown(rollout: Rollout | undefined): unknown {
  assert.ok(rollout);
  return toJson(RolloutSchema, { ...rollout, because: "" });
}

test("who starts a rollout is told of its clusters what whoever looks at it is told, also of silent ones and of what they go back to", async (t) => {
  const fleet = await startTestFleet(t);
  const agent = startSimAgent(await fleet.enrol("eu-1"));
  t.after(() => agent.kill());
  await agent.connected;
  await fleet.enrol("eu-2");
  const rollouts = await fleet.at.client(RolloutService);
  const [old, young] = fleet.bundles;
  const spec = (of: typeof old) => ({ kind: BundleKind.RULES, bundle: `sha256:${of?.target.sha256}` });
  const first = await rollouts.startRollout({ spec: { ...spec(old), canary: 2 } });
  const proved = async () => {
    for await (const { rollout } of rollouts.watchRollout({ rolloutId: first.rollout?.id ?? "" })) {
      if (rollout?.waves.some((wave) => wave.clusters.some(({ provedAt }) => provedAt !== undefined))) return;
    }
  };
  await proved();
  const rolloutId = first.rollout?.id ?? "";
  const { rollout: now } = await rollouts.getRollout({ rolloutId });
  await rollouts.abortRollout({ rolloutId, generation: now?.generation ?? 0n });
  // Nothing is assigned, so that all stands as it was when it was started.
  const freezes = await fleet.at.client(FreezeService);
  await freezes.setFreeze({ reason: "looked at", until: timestampFromMs(Date.now() + 3_600_000) });
  const { rollout } = await rollouts.startRollout({
    spec: { ...spec(young), canary: 2, offline: OfflinePolicy.WAIT },
  });
  const again = await rollouts.getRollout({ rolloutId: rollout?.id ?? "" });
  assert.deepEqual(shown(rollout), shown(again.rollout));
  const clusters = rollout?.waves.flatMap((wave) => wave.clusters) ?? [];
  for (const { previous } of clusters) assert.equal(previous?.digest, spec(old).bundle);
  assert.deepEqual(Object.fromEntries(clusters.map(({ clusterName, reason }) => [clusterName, reason])), {
    "eu-1": "waits until others have proved",
    "eu-2": "silent; gets it when it is heard of again",
  });
});
