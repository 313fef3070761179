import { createHash } from "node:crypto";
import { open, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "@connectrpc/connect";
import type { AgentService } from "#proto/agent/v1/agent";
import { AgentError } from "./agent-error.ts";
import type { Part } from "./domain/apply-plan.ts";

/** A bundle that has not arrived after this long is given up and asked for again, from where it broke off. */
const fetchMs = 120_000;

/** The verified bundles on disk, by digest: `<hex>.json` when whole and hashed, `<hex>.part` while it arrives. */
export interface BundleStore {
  pathOf(sha256: string): string;
  /** Makes sure that the bundle is on disk with the length and hash of signed metadata; returns its path. */
  stage(target: Part, client: Client<typeof AgentService> | undefined, signal: AbortSignal): Promise<string>;
  /** Writes down what this agent made itself, or holds elsewhere, durably. */
  keep(sha256: string, content: string | Uint8Array): Promise<void>;
  /** Removes what none of the given hashes names. */
  prune(keep: readonly string[]): Promise<void>;
}

export function openBundleStore(dir: string): BundleStore {
  const pathOf = (sha256: string) => join(dir, `${sha256}.json`);
  return {
    pathOf,
    async stage(target, client, signal) {
      const path = pathOf(target.sha256);
      if (await isWhole(path, target)) return path;
      if (client === undefined) {
        throw new AgentError(
          "fetch/server-away",
          `${target.path} is not on disk yet and the server is away; it will be fetched when the link is back`,
        );
      }
      const part = join(dir, `${target.sha256}.part`);
      await fetchInto(part, target, client, AbortSignal.any([signal, AbortSignal.timeout(fetchMs)]));
      await checkWhole(part, target);
      await rename(part, path);
      await syncDirectory(dir);
      return path;
    },
    async keep(sha256, content) {
      const part = join(dir, `${sha256}.part`);
      await writeFile(part, content, { mode: 0o600, flush: true });
      await rename(part, pathOf(sha256));
      await syncDirectory(dir);
    },
    async prune(keep) {
      const names = await readdir(dir);
      const stale = names.filter((name) => !keep.some((sha256) => name.startsWith(sha256)));
      await Promise.all(stale.map((name) => rm(join(dir, name), { force: true })));
    },
  };
}

async function fetchInto(
  part: string,
  target: Part,
  client: Client<typeof AgentService>,
  signal: AbortSignal,
): Promise<void> {
  const had = await stat(part).then(
    (s) => s.size,
    () => 0,
  );
  // More than was signed for is worth nothing: begin anew.
  const offset = had <= target.length ? had : 0;
  const file = await open(part, offset === 0 ? "w" : "a");
  let size = offset;
  try {
    if (size < target.length) {
      const request = { digest: `sha256:${target.sha256}`, offset: BigInt(offset) };
      for await (const { chunk } of client.fetchBlob(request, { signal })) {
        size += chunk.length;
        if (size > target.length) {
          throw new AgentError(
            "trust/length-mismatch",
            `${target.path} is longer than the ${target.length} bytes that signed metadata allows: stopped reading`,
          );
        }
        await file.write(chunk);
      }
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function checkWhole(part: string, target: Part): Promise<void> {
  const bytes = await readFile(part);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (bytes.length < target.length) {
    throw new AgentError(
      "fetch/incomplete",
      `${target.path} broke off after ${bytes.length} of ${target.length} bytes; the rest will be asked for`,
    );
  }
  if (sha256 === target.sha256) return;
  await rm(part, { force: true });
  throw new AgentError(
    "trust/hash-mismatch",
    `${target.path} has sha256:${sha256}, but signed metadata lists sha256:${target.sha256}: thrown away`,
  );
}

async function isWhole(path: string, target: Part): Promise<boolean> {
  const bytes = await readFile(path).catch(() => undefined);
  return (
    bytes !== undefined &&
    bytes.length === target.length &&
    createHash("sha256").update(bytes).digest("hex") === target.sha256
  );
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
