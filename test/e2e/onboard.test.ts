/** A cluster comes into a real fleet with one command, reads its audit log, and leaves again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCluster } from "../support/kubernetes/cluster.ts";
import { until } from "../../cli/local/until.ts";
import { bringIn, fleetctl } from "../support/onboard-story.ts";
import { localServer } from "../support/local-fleet.ts";
import { runCli, setEnv } from "../support/run-cli.ts";

const image = `images.example.com/falconry-agent@sha256:${"0".repeat(64)}`;

test(
  "one command brings a cluster into the fleet by a token, again it waits for its proofs and its first audit event; a canary comes through as an alert; once the cluster vouches, another control-plane node joins by itself; and offboarded it is shut out",
  { timeout: 400_000 },
  async (t) => {
    setEnv(t, "FLEETCTL_CONTEXT", "local");
    setEnv(t, "FLEETCTL_IMAGE", image);
    const fleet = await localServer(t);
    const cluster = await startCluster(t);
    const writing = setInterval(() => cluster.audit("cp-1", 5), 500);
    t.after(() => clearInterval(writing));

    await bringIn(t, fleet, { name: "eu-1", context: "fake" });

    cluster.addControlPlane("cp-2");
    await until("the second node to join by itself", 120_000, async () => {
      const seen = (await runCli(["cluster", "show", "eu-1", "-o", "json"])).out;
      const { agents = [] } = JSON.parse(seen) as { agents?: { name: string; transport?: string }[] };
      const connected = agents.filter(({ transport = "" }) => transport !== "").map(({ name }) => name);
      return connected.includes("cp-2") ? { done: true } : { seen: connected.join(", ") };
    });

    await fleetctl(t, "cluster", "offboard", "eu-1", "--context", "fake");
    assert.equal(cluster.find("Namespace", "", "falconry"), undefined);
    assert.deepEqual(cluster.pods("falconry"), []);
    const shown = JSON.parse((await fleetctl(t, "cluster", "list", "--retired", "-o", "json")).out) as {
      clusters: { name: string; retiredAt?: string }[];
    };
    assert.deepEqual(
      shown.clusters.map(({ name, retiredAt }) => [name, retiredAt !== undefined]),
      [["eu-1", true]],
    );
  },
);
