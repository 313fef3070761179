import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AgentSchema,
  AssignmentSchema,
  ClusterSchema,
  RatesSchema,
  RunningSchema,
  type Cluster,
} from "#proto/fleet/v1/cluster";
import { BundleKind, BundleRefSchema } from "#proto/fleet/v1/common";
import { ProgressWatch } from "./progress.ts";
import { seenBy } from "./wait.ts";

const shipper = create(BundleRefSchema, {
  kind: BundleKind.SHIPPER,
  name: "audit",
  version: "1.0.0",
  digest: "d",
});

interface Seen {
  /** Undefined while it is not connected. */
  readonly since?: number;
  /** When it said something last; right after it connected, if not given. */
  readonly heard?: number;
  readonly minute?: number;
  readonly events?: bigint;
}

/** A cluster that proves its shipper config, with its agents by name. */
function clusterOf(agents: Readonly<Record<string, Seen>>, sum: Seen = {}): Cluster {
  const rates = ({ minute, events = 0n }: Seen) =>
    minute === undefined
      ? {}
      : { rates: create(RatesSchema, { minute: timestampFromMs(minute * 60_000), events, seconds: 30 }) };
  return create(ClusterSchema, {
    name: "eu-1",
    assignment: create(AssignmentSchema, { generation: 1n, shipper }),
    running: [create(RunningSchema, { bundle: shipper })],
    ...rates(sum),
    agents: Object.entries(agents).map(([name, seen]) =>
      create(AgentSchema, {
        name,
        transport: seen.since === undefined ? "" : "stream",
        connectedAt: timestampFromMs(seen.since ?? 1),
        lastSeenAt: timestampFromMs(seen.heard ?? (seen.since ?? 1) + 1),
        ...rates(seen),
      }),
    ),
  });
}

test("one control plane that reads its audit log does not speak for another one that writes none", () => {
  const watch = new ProgressWatch({
    known: undefined,
    nodes: ["cp-1", "cp-2", "cp-3"],
    isReplaced: false,
    countsOnce: false,
  });
  const one = { "cp-1": { since: 5, minute: 1, events: 600n } };
  const seen = watch.take(clusterOf({ ...one, "cp-2": { since: 5, minute: 1 }, "cp-3": { since: 5 } }));
  assert.equal(seen.enrolled, true);
  assert.equal(seen.hasEvents, false);
  assert.match(seen.events, /no event yet from cp-2, cp-3;/);
  const all = { "cp-2": { since: 5, minute: 2, events: 1n }, "cp-3": { since: 5, minute: 1, events: 9n } };
  assert.equal(watch.take(clusterOf({ ...one, ...all })).hasEvents, true);
});

test("what the agents of before the change did is no proof that the changed ones are connected and read", () => {
  const known = clusterOf({ "cp-1": { since: 5, minute: 1, events: 600n } });
  const watch = new ProgressWatch({ known, nodes: ["cp-1"], isReplaced: true, countsOnce: false });
  const before = watch.take(known);
  assert.deepEqual([before.enrolled, before.proved, before.hasEvents], [false, false, false]);
  const back = watch.take(clusterOf({ "cp-1": { since: 70, minute: 1, events: 600n } }));
  assert.deepEqual(
    [back.enrolled, back.proved, back.hasEvents],
    [true, true, false],
    "its minute is of before",
  );
  assert.equal(
    watch.take(clusterOf({ "cp-1": { since: 70, minute: 2 } })).hasEvents,
    false,
    "it reads nothing",
  );
  assert.equal(watch.take(clusterOf({ "cp-1": { since: 70, minute: 3, events: 1n } })).hasEvents, true);
});

test("a replaced agent that has connected and said nothing yet is not taken to run what the one of before ran", () => {
  const known = clusterOf({ "cp-1": { since: 5 }, "cp-2": { since: 5 } });
  const watch = new ProgressWatch({ known, nodes: ["cp-1", "cp-2"], isReplaced: true, countsOnce: false });
  const spoken = { "cp-2": { since: 71 } };
  const mute = watch.take(clusterOf({ "cp-1": { since: 70, heard: 70 }, ...spoken }));
  assert.deepEqual([mute.enrolled, mute.proved], [true, false]);
  assert.equal(mute.proofs, "no word yet from cp-1");
  assert.equal(watch.take(clusterOf({ "cp-1": { since: 70, heard: 72 }, ...spoken })).proved, true);
  const left = new ProgressWatch({ known, nodes: ["cp-1"], isReplaced: false, countsOnce: false });
  assert.equal(left.take(clusterOf({ "cp-1": { since: 5, heard: 5 } })).proved, true, "it was left alone");
});

test("an agent that was away proves nothing by the minutes of before either, and one that was left alone does", () => {
  const known = clusterOf({
    "cp-1": { minute: 1, events: 600n },
    "cp-2": { since: 5, minute: 1, events: 5n },
  });
  const watch = new ProgressWatch({ known, nodes: ["cp-1", "cp-2"], isReplaced: false, countsOnce: false });
  const stays = { "cp-2": { since: 5, minute: 1, events: 5n } };
  const back = watch.take(clusterOf({ "cp-1": { since: 9, minute: 1, events: 600n }, ...stays }));
  assert.equal(back.enrolled, true);
  assert.match(back.events, /no event yet from cp-1;/);
  const later = watch.take(clusterOf({ "cp-1": { since: 9, minute: 2, events: 6n }, ...stays }));
  assert.equal(later.hasEvents, true);
});

test("where Fluent Bit ships, one agent counts for all, and a minute of before the change counts for none", () => {
  const known = clusterOf({ "cp-1": { since: 5 }, "cp-2": { since: 5 } }, { minute: 1, events: 600n });
  const watch = new ProgressWatch({ known, nodes: ["cp-1", "cp-2"], isReplaced: true, countsOnce: true });
  const agents = { "cp-1": { since: 70, minute: 1 }, "cp-2": { since: 70, minute: 1 } };
  const old = watch.take(clusterOf(agents, { minute: 1, events: 600n }));
  assert.deepEqual([old.enrolled, old.hasEvents], [true, false]);
  assert.match(old.events, /no event yet from Fluent Bit;/);
  assert.equal(watch.take(clusterOf(agents, { minute: 2, events: 1n })).hasEvents, true);
});

test("where Fluent Bit ships, no node is said to have seen an event, for nobody knows which did", () => {
  assert.equal(seenBy(["cp-1", "cp-2"], true), "seen by Fluent Bit, all nodes together");
  assert.equal(seenBy(["cp-1", "cp-2"], false), "seen by cp-1, cp-2");
});
