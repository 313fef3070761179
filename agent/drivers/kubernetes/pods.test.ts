import assert from "node:assert/strict";
import { test } from "node:test";
import { Pods } from "./pods.ts";

const settings = { host: "falconry-falco.falco.svc", port: 8765, namespace: "falco", daemonSet: "falco" };
const api = { get: async () => ({ status: { desiredNumberScheduled: 2 } }) };

test("a pod with an address of each family is one pod, so that a node without one is missing", async () => {
  for (const addresses of [
    ["10.0.0.1", "fd00::1"],
    ["fd00::1", "10.0.0.1"],
  ]) {
    const found = await new Pods(api, settings, async () => addresses).look(async (url) => url);
    assert.deepEqual([...found.seen.keys()], ["http://10.0.0.1:8765"]);
    assert.deepEqual(found.missing, [
      "1 of the 2 nodes of DaemonSet falco/falco have none at falconry-falco.falco.svc",
    ]);
  }
});
