import type { TestContext } from "node:test";

import { TokenService } from "#proto/fleet/v1/token";
import type { BuiltBundle } from "#trust";

import type { SimIdentity } from "../../../test/support/sim-agent.ts";
import {
  enrollAgent,
  publishRoot,
  push,
  rulesBundle,
  startTestServer,
  type Offline,
  type StartOptions,
  type TestServer,
} from "../../testing.ts";

/** A server with a trust root and bundles that are released, for tests of agents and rollouts. */
export interface TestFleet {
  readonly at: TestServer;
  readonly offline: Offline;
  /** Starter 1.0.0, 1.1.0 and so on, oldest first. */
  readonly bundles: readonly BuiltBundle[];
  targets: Uint8Array;
  /** Enrols an agent of a cluster, each by a token of its own. */
  enrol(
    cluster: string,
    wish?: { readonly region?: string; readonly agent?: string; readonly labels?: Record<string, string> },
  ): Promise<SimIdentity>;
}

export async function startTestFleet(
  t: TestContext,
  versions: number = 2,
  options: StartOptions = {},
): Promise<TestFleet> {
  const at = await startTestServer(t, options);
  const offline = await publishRoot(at);
  const bundles = Array.from({ length: versions }, (_, i) => rulesBundle(`1.${i}.0`));
  const targets = await push(at, offline, undefined, bundles);
  return {
    at,
    offline,
    bundles,
    targets,
    enrol: async (
      cluster,
      { region = cluster.split("-")[0] ?? "eu", agent = "node-1", labels = {} } = {},
    ) => {
      const tokens = await at.client(TokenService);
      const { joinString } = await tokens.createJoinToken({ labels: { region, ...labels } });
      const wish = { clusterName: cluster, clusterUid: `uid-of-${cluster}`, agentName: agent };
      const { response, identity } = await enrollAgent(at, joinString, wish);
      return {
        baseUrl: at.baseUrl,
        ca: at.ca,
        ...identity,
        org: response.org,
        clusterId: response.clusterId,
        agentId: response.agentId,
        clusterUid: wish.clusterUid,
        labels: response.labels,
        root: response.root,
      };
    },
  };
}

/** Waits until `look` gives something, or fails with what was waited for. Never a fixed sleep. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs: number = 10_000,
): Promise<T> {
  const began = performance.now();
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    const waitedMs = performance.now() - began;
    if (waitedMs > withinMs) throw new Error(`Waited ${withinMs} ms in vain until ${what}`);
    // A look is calls and queries, which take the cores from what is waited for: what has taken long may take a twentieth longer.
    const pauseMs = Math.min(15 + waitedMs / 20, 250);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
