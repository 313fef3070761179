import { gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { createCsr, generatePrivateKey, signEnvelope } from "#trust";
import type { TargetRef } from "#trust";
import { assign, assignRaw, bundleOf, withoutType } from "./evil-keys.ts";
import { assignment, evilRules, newVersion, target, unmoved } from "./evil-moves.ts";
import type { Move } from "./evil-moves.ts";
import type { Word } from "./evil-server.ts";
import { execRule, good, wireEnvelope, wireMetadata } from "./evil-world.ts";
import type { EvilWorld } from "./evil-world.ts";

const { rules, nextRules } = good;

/** A bundle that people released, and whose bytes are then served differently. */
async function served(
  world: EvilWorld,
  blob: (bytes: Uint8Array) => Iterable<Uint8Array>,
): Promise<TargetRef> {
  const bundle = bundleOf("rules", "served", newVersion(), execRule);
  await world.release(bundle);
  world.server.blobs.set(bundle.digest, () => blob(bundle.bytes));
  return bundle.target;
}

/** A bundle that people released, of which something else comes with the assignment, and nothing when it is fetched. */
async function enclosed(world: EvilWorld): Promise<readonly Word[]> {
  const bundle = bundleOf("rules", "enclosed", newVersion(), execRule);
  await world.release(bundle);
  world.server.blobs.delete(bundle.digest);
  const bundles = [{ digest: bundle.digest, gzip: Uint8Array.from(gzipSync(flipped(bundle.bytes))) }];
  const assignment = wireEnvelope(await world.assign(bundle.target));
  return [{ metadata: world.metadata(), assignment, bundles }];
}

function flipped(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes, (byte, index) => (index === 40 ? byte ^ 1 : byte));
}

const assigned = (world: EvilWorld) => world.assign(rules.target);

/** T1: the server, its database and its online keys. */
export const takeover: readonly Move[] = [
  target("T1", "a bundle that nobody released", ["rules", "trust/not-listed"], (world) => {
    world.serve(evilRules);
    return evilRules.target;
  }),
  target("T1", "a released path with other bytes", ["rules", "trust/hash-mismatch"], () => ({
    ...nextRules.target,
    sha256: evilRules.target.sha256,
  })),
  target("T1", "a released bundle, longer", ["rules", "trust/length-mismatch"], () => ({
    ...nextRules.target,
    length: nextRules.target.length + 1,
  })),
  target("T1", "rules called a shipper config", ["shipper", "trust/not-listed"], () => ({
    ...nextRules.target,
    kind: "shipper",
  })),
  target("T1", "a path that leads out", ["rules", "trust/not-listed"], () => ({
    ...nextRules.target,
    path: "../../../../etc/passwd",
  })),
  target("T1", "one byte of a released bundle changed", ["rules", "trust/hash-mismatch"], (world) =>
    served(world, (bytes) => [flipped(bytes)]),
  ),
  target("T1", "a released bundle with more behind it", ["rules", "trust/length-mismatch"], (world) =>
    served(world, (bytes) => [bytes, Buffer.from(" ")]),
  ),
  unmoved("T1", "a released bundle that breaks off", async (world) => {
    const wanted = await served(world, (bytes) => [bytes.subarray(0, 100)]);
    return [{ metadata: world.metadata(), assignment: wireEnvelope(await world.assign(wanted)) }];
  }),
  unmoved("T1", "a released bundle that is not handed out", async (world) => {
    const wanted = await served(world, () => []);
    world.server.blobs.delete(`sha256:${wanted.sha256}`);
    return [{ metadata: world.metadata(), assignment: wireEnvelope(await world.assign(wanted)) }];
  }),
  unmoved("T1", "one byte of a released bundle changed, that comes with its assignment", enclosed),
  unmoved("T1", "an order to run nothing", async (world) => [
    { metadata: world.metadata(), assignment: wireEnvelope(await world.assign()) },
  ]),
  target(
    "T1",
    "an old released bundle without the protected rule",
    ["rules", "rules/protected"],
    () => good.oldRules.target,
  ),
  target(
    "T1",
    "a released bundle whose protected rule matches less",
    ["rules", "rules/protected"],
    () => good.fewerRules.target,
  ),
  target(
    "T1",
    "a released config without detection",
    ["shipper", "shipper/protected"],
    () => good.blindShipper.target,
  ),
  target(
    "T1",
    "a released config that drops what rules look for",
    ["shipper", "shipper/protected"],
    () => good.deafShipper.target,
  ),
  {
    name: "labels that choose a layer without the protected rule",
    row: "T1",
    expected: { condition: "labels/not-applied", code: "rules/protected" },
    play: async () => [{ labels: { labels: { region: "eu", team: "quiet" } } }],
  },
  {
    name: "labels that choose a layer that does not load",
    row: "T1",
    expected: { condition: "labels/not-applied", code: "rules/invalid" },
    play: async () => [{ labels: { labels: { region: "eu", team: "broken" } } }],
  },
  {
    name: "a label that leads the shipper out of its folders",
    row: "T1",
    expected: { condition: "labels/not-applied", code: "shipper/not-allowed" },
    play: async () => [{ labels: { labels: { region: "eu", team: "x/../../../../etc" } } }],
  },
  {
    name: "more labels than anybody needs",
    row: "T1",
    expected: { condition: "labels/refused", code: "The server sent" },
    play: async () => [
      { labels: { labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, "v"])) } },
    ],
  },
  unmoved("T1", "the identity is called revoked", async () => [
    new ConnectError("revoked", Code.PermissionDenied),
    new ConnectError("who are you", Code.Unauthenticated),
  ]),
  unmoved("T1", "a drain, a hello asked for again and again, and strange tuning", async () => [
    { drain: { reconnectAfterMs: 1 } },
    { needHello: true },
    { needHello: true },
    { tuning: { heartbeatMs: 0, reportMs: 0, reconnectWindowMs: 1 } },
    { tuning: { heartbeatMs: 4_294_967_295, reportMs: 4_294_967_295, reconnectWindowMs: 100 } },
    { ackSequence: 2n ** 63n, serverTime: { seconds: 1n } },
  ]),
  unmoved("T1", "an answer larger than an agent reads", async () => [
    { metadata: [wireMetadata("targets", new Uint8Array(9 * 1024 * 1024))] },
  ]),
  unmoved("T1", "a certificate for another key and another cluster", async (world) => {
    const stranger = await createCsr(generatePrivateKey());
    world.server.renewal = async () => [await world.server.certify(stranger, "cl_other")];
    return [{ renewCertificate: true }];
  }),
  assignment("T1", "an assignment of another cluster", "trust/wrong-cluster", (world) =>
    assign(world.online, "cl_other", world.next(), [nextRules.target]),
  ),
  assignment("T1", "an assignment of another organisation", "trust/wrong-org", (world) =>
    assign(world.online, world.server.clusterId, world.next(), [nextRules.target], { org: "other" }),
  ),
  assignment("T1", "an assignment by a key of another role", "trust/unknown-key", async (world) =>
    assign({ assignment: world.online.timestamp }, world.server.clusterId, world.next(), [nextRules.target]),
  ),
  assignment("T1", "an assignment changed after it was signed", "trust/threshold-not-met", async (world) => {
    const envelope = await assigned(world);
    const text = Buffer.from(envelope.payload).toString();
    return { ...envelope, payload: Buffer.from(text.replace(rules.target.sha256, nextRules.target.sha256)) };
  }),
  assignment("T1", "a signature over another type", "trust/malformed", async (world) => {
    const type = "application/vnd.falconry.state-report";
    return signEnvelope(type, (await assigned(world)).payload, [world.online.assignment]);
  }),
  assignment("T1", "a signature without the type", "trust/threshold-not-met", async (world) =>
    withoutType(await assigned(world), world.online.assignment),
  ),
  assignment("T1", "an assignment without a signature", "trust/threshold-not-met", async (world) => ({
    ...(await assigned(world)),
    signatures: [],
  })),
  assignment("T1", "an assignment with a field from nowhere", "trust/malformed", async (world) =>
    assignRaw(await assigned(world), world.online.assignment, (json) => ({ ...json, run: "rm -rf /" })),
  ),
  assignment("T1", "two bundles of one kind", "trust/malformed", async (world) =>
    world.assign(rules.target, nextRules.target),
  ),
  assignment("T1", "an assignment of a thousand levels", "trust/malformed", async (world) =>
    assignRaw(await assigned(world), world.online.assignment, (json) => ({
      ...json,
      targets: nested(1_000),
    })),
  ),
];

function nested(levels: number): unknown {
  return levels === 0 ? [] : [nested(levels - 1)];
}
