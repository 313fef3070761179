import type { TestContext } from "node:test";
import { serveFleet, type FakeFleet } from "./fake-fleet.ts";
import { startCluster, type ClusterOptions, type FakeCluster } from "./kubernetes/cluster.ts";
import { runCli, useContext } from "./run-cli.ts";

export const image = `images.example.com/falconry-agent@sha256:${"0".repeat(64)}`;

/** A cluster, and a fleet that it is to come into. */
export async function world(
  t: TestContext,
  options: ClusterOptions = {},
): Promise<{ readonly fleet: FakeFleet; readonly cluster: FakeCluster }> {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  return { fleet, cluster: await startCluster(t, options) };
}

export const command = [
  "cluster",
  "onboard",
  "eu-1",
  "--context",
  "fake",
  "--region",
  "eu",
  "--image",
  image,
];
export const onboard = (...more: readonly string[]) => runCli([...command, ...more]);
