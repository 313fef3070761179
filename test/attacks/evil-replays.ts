import { createHash } from "node:crypto";
import { generateKey, newSnapshot, newTargets, newTimestamp } from "#trust";
import { must } from "../../server/testing.ts";
import { assign, bundleOf, nextRoot, quorum, refresh, sign } from "./evil-keys.ts";
import type { Published } from "./evil-keys.ts";
import { assignment, evilRules, metadata, newVersion } from "./evil-moves.ts";
import type { Move } from "./evil-moves.ts";
import type { Word } from "./evil-server.ts";
import { execRule, good, wireEnvelope, wireMetadata } from "./evil-world.ts";
import type { EvilWorld } from "./evil-world.ts";

const { nextRules } = good;
/** T6 and T14: going back, standing still, mixing, endless data, and what was recorded before. */
export const replays: readonly Move[] = [
  assignment("T14", "a recorded assignment of before", "trust/stale-generation", (world) =>
    assign(world.online, world.server.clusterId, 1, [nextRules.target]),
  ),
  assignment("T6", "an assignment that has ended", "trust/expired", (world) =>
    assign(world.online, world.server.clusterId, world.next(), [nextRules.target], {
      expires: new Date(1_700_000_000_000),
      notBefore: new Date(1_600_000_000_000),
    }),
  ),
  assignment("T6", "an assignment of next year", "trust/not-yet-valid", (world) => {
    const year = Math.floor(Date.now() / 1_000) * 1_000 + 365 * 86_400_000;
    const times = { notBefore: new Date(year), expires: new Date(year + 86_400_000) };
    return assign(world.online, world.server.clusterId, world.next(), [nextRules.target], times);
  }),
  metadata("T6", "a timestamp of before", "trust/rollback", async (world) => {
    const before = world.published.timestamp;
    await world.publish(world.published.targets);
    await world.heal();
    return { timestamp: before };
  }),
  metadata("T6", "a newer timestamp over an older snapshot", "trust/rollback", async (world) => {
    const times = { version: (world.version += 1), snapshotVersion: 1 };
    return refresh(world.online, world.published.targets, times);
  }),
  metadata("T6", "a newer snapshot over older targets", "trust/rollback", async (world) => {
    const before = world.published.targets;
    await world.release(bundleOf("rules", "more", newVersion(), execRule));
    await world.heal();
    return { targets: before, ...(await refresh(world.online, before, { version: (world.version += 1) })) };
  }),
  metadata(
    "T6",
    "targets of one release with the snapshot of another",
    "trust/length-mismatch",
    async (world) => {
      const before = world.published.targets;
      await world.release(bundleOf("rules", "more", newVersion(), execRule));
      return { targets: before };
    },
  ),
  metadata("T6", "a timestamp that has ended", "trust/expired", async (world) => {
    const times = {
      version: (world.version += 1),
      now: new Date(Date.now() - 86_400_000 * 3),
      lifetimeMs: 3_600_000,
    };
    return refresh(world.online, world.published.targets, times);
  }),
  metadata("T6", "targets by the server's own key", "trust/unknown-key", (world) =>
    listing(world, [world.online.snapshot]),
  ),
  metadata("T6", "targets that nobody signed", "trust/threshold-not-met", (world) => listing(world, [])),
  metadata("T6", "targets by one of the two people", "trust/threshold-not-met", (world) =>
    listing(world, world.people.targets.slice(0, 1)),
  ),
  metadata("T6", "targets signed twice by one person", "trust/malformed", async (world) => {
    const forgery = await listing(world, world.people.targets.slice(0, 1));
    const json = JSON.parse(Buffer.from(forgery.targets).toString());
    json.signatures.push(json.signatures[0]);
    return pinning(world, forgery, Buffer.from(JSON.stringify(json)));
  }),
  metadata("T6", "targets changed after two people signed them", "trust/threshold-not-met", async (world) => {
    const text = Buffer.from((await listing(world, quorum(world.people.targets))).targets).toString();
    return over(world, Buffer.from(text.replaceAll(evilRules.target.sha256, "0".repeat(64))));
  }),
  metadata(
    "T6",
    "a root with the attacker's keys, by the server's keys",
    "trust/unknown-key",
    async (world) => ({
      root: await nextRoot(world.published.root, [world.online.snapshot, world.online.timestamp], () =>
        ownKeys(),
      ),
    }),
  ),
  metadata("T6", "a root by one of the two people", "trust/threshold-not-met", async (world) => ({
    root: await nextRoot(world.published.root, world.people.root.slice(0, 1)),
  })),
  metadata("T6", "a root that leaves one out", "trust/version-mismatch", async (world) => ({
    root: await nextRoot(world.published.root, quorum(world.people.root), ({ version }) => ({
      version: version + 1,
    })),
  })),
  metadata("T6", "a root of another organisation", "trust/wrong-org", async (world) => ({
    root: await nextRoot(world.published.root, quorum(world.people.root), () => ({ org: "other" })),
  })),
  metadata("T6", "a root whose own keys did not sign it", "trust/unknown-key", async (world) => ({
    root: await nextRoot(world.published.root, quorum(world.people.root), () => ownKeys()),
  })),
  metadata("T6", "a root that is no metadata", "trust/malformed", async () => ({ root: Buffer.from("{") })),
  metadata("T6", "a snapshot in place of a timestamp", "trust/malformed", async (world) => ({
    timestamp: world.published.snapshot,
  })),
  metadata("T6", "a timestamp of two MiB", "trust/too-large", async () => ({
    timestamp: Buffer.alloc(2 * 1024 * 1024, " "),
  })),
  metadata("T6", "a timestamp of ten thousand levels", "trust/malformed", async () => ({
    timestamp: Buffer.from("[".repeat(10_000)),
  })),
  metadata("T6", "a timestamp with a key __proto__", "trust/malformed", async (world) => ({
    timestamp: Buffer.from(
      Buffer.from(world.published.timestamp)
        .toString()
        .replace('{"signatures"', '{"__proto__":{},"signatures"'),
    ),
  })),
  {
    name: "a thousand roots at once",
    row: "T6",
    expected: { condition: "metadata/refused", code: "trust/too-large" },
    play: async (world) => [
      { metadata: Array.from({ length: 1_000 }, () => wireMetadata("root", world.published.root)) },
    ],
  },
];

function ownKeys() {
  const own = [generateKey(), generateKey()].map((key) => key.publicKey);
  const [key] = own;
  if (key === undefined) throw new Error("no key");
  return { keys: { root: own, targets: own, snapshot: [key], timestamp: [key], assignment: [key] } };
}

/** The attacker's bundle on the list, signed by whoever signs, with snapshot and timestamp over it. */
async function listing(
  world: EvilWorld,
  signers: Parameters<typeof sign>[1],
): Promise<Omit<Published, "root">> {
  const add = [evilRules];
  return over(
    world,
    await sign(must(newTargets(world.published.targets, { add, now: new Date() })), signers),
  );
}

async function over(world: EvilWorld, targets: Uint8Array): Promise<Omit<Published, "root">> {
  return { targets, ...(await refresh(world.online, targets, { version: (world.version += 1) })) };
}

/** Snapshot and timestamp over bytes that are no targets metadata. */
async function pinning(
  world: EvilWorld,
  { snapshot: like }: Pick<Published, "snapshot">,
  targets: Uint8Array,
): Promise<Omit<Published, "root">> {
  const { signed } = JSON.parse(Buffer.from(like).toString());
  const version = (world.version += 1);
  const sha256 = createHash("sha256").update(targets).digest("hex");
  const meta = { ...signed.meta["targets.json"], length: targets.length, hashes: { sha256 } };
  const pinned = { signatures: [], signed: { ...signed, version, meta: { "targets.json": meta } } };
  const snapshot = await sign(Buffer.from(JSON.stringify(pinned)), [world.online.snapshot]);
  const unsigned = must(newTimestamp(snapshot, { version, now: new Date() }));
  return { targets, snapshot, timestamp: await sign(unsigned, [world.online.timestamp]) };
}

/** The highest timestamp and generation there can be: nothing honest comes after them, until people turn the keys. */
export async function fastForward(world: EvilWorld): Promise<readonly Word[]> {
  const most = Number.MAX_SAFE_INTEGER;
  const { targets } = world.published;
  const snapshot = await sign(must(newSnapshot(targets, { version: most, now: new Date() })), [
    world.online.snapshot,
  ]);
  const timestamp = await sign(must(newTimestamp(snapshot, { version: most, now: new Date() })), [
    world.online.timestamp,
  ]);
  const wanted = [good.rules.target, good.shipper.target];
  const envelope = await assign(world.online, world.server.clusterId, most, wanted);
  return [{ metadata: world.metadata({ snapshot, timestamp }), assignment: wireEnvelope(envelope) }];
}
