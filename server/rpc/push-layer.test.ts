import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { AuditService } from "#proto/fleet/v1/audit";
import { BundleService } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { AgentService } from "#proto/agent/v1/agent";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { TokenService } from "#proto/fleet/v1/token";
import { TrustService } from "#proto/fleet/v1/trust";
import {
  buildLayerRelease,
  checkLayerTarget,
  emptyTrusted,
  generateKey,
  layerListBytesMax,
  newLayerList,
  newTargets,
  rootPin,
  signMetadata,
  updateTrusted,
  type BuiltLayer,
  type LayerGrant,
  type SigningKey,
  type TargetsChange,
} from "#trust";

import type { Digest, RolloutId } from "../domain/ids.ts";
import type { Scope } from "../domain/scope.ts";
import { reassign } from "../store/assignments.ts";
import { enrollAgent, must, publishRoot, push, rulesBundle, startTestServer } from "../testing.ts";

const [team, other] = [generateKey(), generateKey()];
const tune = "- rule: Exec into pod\n  priority: ERROR\n  override: { priority: replace }\n";
const own = (bytes: Uint8Array) => Uint8Array.from(bytes);
const labels = { region: "eu", team: "payments" };

function release(version: string, content: string = tune, name: string = "payments"): BuiltLayer {
  return must(buildLayerRelease({ org: "default", name, version, files: [{ path: "tune.yaml", content }] }));
}

async function listOf(before: Uint8Array | undefined, add: readonly BuiltLayer[], key: SigningKey) {
  const unsigned = newLayerList(before, {
    layer: add[0]?.release.name ?? "payments",
    add,
    now: new Date(),
  });
  return must(await signMetadata(must(unsigned), [key]));
}

function grant(layer: string, key: SigningKey): LayerGrant {
  const bounds = { prefix: layer, tune: ["*"], replace: [] };
  return { layer, keys: [key.publicKey], threshold: 1, level: "team", selector: { team: layer }, ...bounds };
}

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

test("a team releases its layer with its own key, and nothing else with it", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const [service, trust] = [await at.client(BundleService), await at.client(TrustService)];
  const metadata = async (role: string) => (await trust.getMetadata({ role })).metadata;
  const publish = async (change: Omit<TargetsChange, "add" | "now">) => {
    const unsigned = newTargets(await metadata("targets"), { add: [], now: new Date(), ...change });
    const targets = own(must(await signMetadata(must(unsigned), [offline.targets])));
    await service.pushBundles({ bundles: [], targets });
  };
  const send = (list: Uint8Array, releases: readonly BuiltLayer[], layer = "payments", by = service) =>
    by.pushLayer({ layer, releases: releases.map(({ bytes }) => own(bytes)), list: own(list) });
  const listed = async () => {
    const { bundles } = await service.listBundles({ kind: BundleKind.LAYER });
    return bundles.map(({ ref }) => `${ref?.name}@${ref?.version}`);
  };
  await push(at, offline, undefined, [rulesBundle("1.0.0")]);
  const first = release("1.0.0");
  const list = await listOf(undefined, [first], team);

  await t.test("a layer that nobody delegated is refused, whoever signs for it", async () => {
    assert.match(await refusal(send(list, [first])), /^FailedPrecondition: .*trust\/not-delegated/);
  });
  await publish({ delegate: [grant("payments", team), grant("cards", other)] });

  await t.test(
    "what cannot be trusted, read or started is refused, and nothing of it is stored",
    async () => {
      const stolen = release("1.0.0", tune, "cards");
      const stolenList = await listOf(undefined, [stolen], team);
      const cases: readonly [string, () => Promise<unknown>, RegExp][] = [
        [
          "the key of another team",
          () => send(stolenList, [stolen], "cards"),
          /^FailedPrecondition: .*trust\/unknown-key/,
        ],
        [
          "the path of another team",
          () => send(stolenList, [stolen]),
          /^(InvalidArgument|FailedPrecondition): .*trust\/beyond-delegation/,
        ],
        [
          "no signature",
          () =>
            send(must(newLayerList(undefined, { layer: "payments", add: [first], now: new Date() })), [
              first,
            ]),
          /trust\/threshold-not-met/,
        ],
        [
          "other bytes",
          () => send(list, [release("1.0.0", `${tune}\n`)]),
          /^InvalidArgument: releases\[0\]: .*sign what you push/,
        ],
        [
          "a release that stays at home",
          () => send(list, []),
          /neither pushed along nor stored here: layer\/payments\/1\.0\.0\.json/,
        ],
        [
          "a list of any size",
          () => send(new Uint8Array(layerListBytesMax + 1), []),
          /^ResourceExhausted: The list has 65537 bytes/,
        ],
        ["a layer of any name", () => send(list, [first], "../payments"), /^InvalidArgument: layer: /],
      ];
      for (const [what, call, words] of cases) assert.match(await refusal(call()), words, what);
      const beyond: readonly [string, RegExp][] = [
        [
          "- rule: Exec into pod\n  enabled: false\n",
          /On starter@1\.0\.0 it would be left out: .*\(layer\/beyond-terms\)/,
        ],
        ["- rule: half\n  override: [", /LOAD_ERR_YAML_PARSE/],
      ];
      for (const [content, words] of beyond) {
        const bad = release("6.6.6", content);
        assert.match(await refusal(send(await listOf(undefined, [bad], team), [bad])), words);
      }
      assert.deepEqual(await listed(), []);
    },
  );

  await t.test("an agent can verify the release, from the pinned root to the team's signature", async () => {
    await send(list, [first]);
    await send(list, [first]);
    assert.deepEqual(await listed(), ["payments@1.0.0"]);
    const { entries } = await (await at.client(AuditService)).listAudit({});
    const row = entries.find(
      ({ method, outcome }) => method === "BundleService/PushLayer" && outcome === "ok",
    );
    assert.equal(row?.target, "layer-payments 1, payments@1.0.0");
    const trusted = must(emptyTrusted(offline.bytes, rootPin(offline.bytes)));
    const [timestamp, snapshot, targets, layer] = await Promise.all(
      ["timestamp", "snapshot", "targets", "layer-payments"].map(metadata),
    );
    assert.ok(timestamp && snapshot && targets && layer);
    const layers = new Map([["payments", layer]]);
    const updated = updateTrusted(trusted, { timestamp, snapshot, targets, layers }, new Date());
    assert.ok(updated.ok, JSON.stringify(updated));
    const checked = checkLayerTarget(updated.value, first.target, labels, new Date());
    assert.equal(must(checked).layer, "payments");
  });

  await t.test("a credential with a scope releases for its own clusters only", async () => {
    const scopeOf = (name: string) =>
      [{ key: "team", operator: "in", values: [name] }] as const as unknown as Scope;
    const next = release("1.1.0");
    const nextList = await listOf(list, [next], team);
    const stranger = await at.client(BundleService, "operator", scopeOf("cards"));
    assert.match(
      await refusal(send(nextList, [next], "payments", stranger)),
      /^PermissionDenied: The layer "payments" reaches clusters beyond your scope/,
    );
    const member = await at.client(BundleService, "operator", scopeOf("payments"));
    await send(nextList, [next], "payments", member);
    assert.deepEqual(await listed(), ["payments@1.1.0", "payments@1.0.0"]);
    assert.match(await refusal(send(list, [], "payments", member)), /trust\/rollback/);
  });

  await t.test(
    "only agents that know of layers are told of one, with its list, and may fetch it",
    async () => {
      const joinString = (await (await at.client(TokenService)).createJoinToken({ labels })).joinString;
      const { identity, response } = await enrollAgent(at, joinString);
      const { clusterId } = response;
      const rules = rulesBundle("1.0.0").digest as Digest;
      const rolloutId = null as unknown as RolloutId;
      await at.db.transaction(async (tx) => {
        await reassign(tx, "rules", rolloutId, [{ clusterId, digest: rules, seen: 0n }], new Date());
        const digest = first.digest as Digest;
        await reassign(tx, "layer/payments", rolloutId, [{ clusterId, digest, seen: 1n }], new Date());
      });
      const agent = at.bare(AgentService, identity);
      const told = async (starts: bigint, capabilities: readonly string[]) => {
        const { assignment, metadata: sent } = await agent.sync({
          sessionId: `session-${starts}`,
          sequence: 1n,
          hello: {
            clusterUid: "uid-eu-1",
            capabilities: [...capabilities],
            protocolMin: 1,
            protocolMax: 1,
            transport: "long-poll",
            instanceId: `process-${starts}`,
            starts,
          },
          trustVersions: {},
        });
        const { generation, layers = [] } = JSON.parse(Buffer.from(assignment!.payload).toString()) as {
          readonly generation: number;
          readonly layers?: readonly { readonly path: string }[];
        };
        const lists = sent.filter(({ role }) => role.startsWith("layer-")).map(({ role }) => role);
        return [generation, layers.map(({ path }) => path), lists];
      };
      assert.deepEqual(await told(1n, []), [2, [], []]);
      const now = [3, ["layer/payments/1.0.0.json"], ["layer-payments"]];
      assert.deepEqual(
        await told(2n, ["layers"]),
        now,
        "one that learned of them takes the assignment in anew",
      );
      const fetched: Uint8Array[] = [];
      for await (const { chunk } of agent.fetchBlob({ digest: first.digest })) fetched.push(chunk);
      assert.deepEqual(Buffer.concat(fetched), Buffer.from(first.bytes));
      const clusters = await at.client(ClusterService);
      await clusters.labelCluster({ cluster: clusterId, set: { team: "other" } });
      assert.deepEqual(await told(3n, ["layers"]), [4, [], []], "it is for the clusters of the delegation");
      await clusters.labelCluster({ cluster: clusterId, set: { team: "payments" } });
      assert.deepEqual((await told(4n, ["layers"]))[1], ["layer/payments/1.0.0.json"]);
    },
  );

  await t.test("a layer that is taken back is released no longer, and its list stays pinned", async () => {
    await publish({ revoke: ["payments"] });
    assert.deepEqual(await listed(), []);
    const { rows } = await at.db.$client.query("select digest from assignment_layers");
    assert.deepEqual(rows, [{ digest: null }], "and no cluster is to run it any more");
    const snapshot = Buffer.from(await metadata("snapshot")).toString();
    assert.match(snapshot, /"layer-payments\.json":\{[^}]*\}[^}]*"version":2/);
    await publish({ delegate: [grant("payments", team)] });
    assert.deepEqual(await listed(), ["payments@1.1.0", "payments@1.0.0"]);
    await publish({ delegate: [grant("payments", generateKey())] });
    assert.deepEqual(await listed(), [], "what the former key signed counts no more");
  });
});
