import assert from "node:assert/strict";
import { test } from "node:test";

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ClusterSchema } from "#proto/fleet/v1/cluster";

import { clusterLines } from "./cluster-view.ts";
import { plain } from "./output/text.ts";

test("cluster show says when an agent left, and takes one that was lost for no such", () => {
  const nowMs = 1_700_000_000_000;
  const ago = (ms: number) => timestampFromMs(nowMs - ms);
  const cluster = create(ClusterSchema, {
    agents: [
      { name: "drained", lastSeenAt: ago(300_000), leftAt: ago(300_000) },
      { name: "lost", lastSeenAt: ago(300_000) },
      { name: "here", lastSeenAt: ago(0), transport: "stream" },
    ],
  });
  const lines = clusterLines(cluster, [], nowMs, plain);
  const links = lines.flatMap((line) => /^link: +(.*), generation/.exec(line)?.[1] ?? []);
  assert.deepEqual(links, ["left 5m ago, seen 5m ago", "not connected, seen 5m ago", "stream, seen 0s ago"]);
});
