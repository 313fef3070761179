import { createHash } from "node:crypto";
import { open, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { Client } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { AgentService, EnclosedBundle } from "#proto/agent/v1/agent";
import { AgentError } from "./agent-error.ts";
import type { Part } from "./domain/apply-plan.ts";

/** A bundle that has not arrived after this long is given up and asked for again, from where it broke off. */
const fetchMs = 120_000;

/** Packed bytes of bundles that are kept in memory; a server encloses no more than 48 KiB. */
const enclosedBytesMax = 64 * 1024;

/** The verified bundles on disk, by digest: `<hex>.json` when whole and hashed, `<hex>.part` while it arrives. */
export interface BundleStore {
  pathOf(sha256: string): string;
  /** Holds what came with an assignment in memory, until it is staged or the next one comes. What is too much is fetched. */
  enclose(bundles: readonly EnclosedBundle[]): void;
  /** Makes sure that the bundle is on disk with the length and hash of signed metadata; returns its path. */
  stage(target: Part, client: Client<typeof AgentService> | undefined, signal: AbortSignal): Promise<string>;
  /** Writes down what this agent made itself, or holds elsewhere, durably. */
  keep(sha256: string, content: string | Uint8Array): Promise<void>;
  /** Removes what none of the given hashes names. */
  prune(keep: readonly string[]): Promise<void>;
}

export function openBundleStore(dir: string, log: Logger): BundleStore {
  const pathOf = (sha256: string) => join(dir, `${sha256}.json`);
  let enclosed = new Map<string, Uint8Array>();
  const keep = async (sha256: string, content: string | Uint8Array) => {
    const part = join(dir, `${sha256}.part`);
    await writeFile(part, content, { mode: 0o600, flush: true });
    await rename(part, pathOf(sha256));
    await syncDirectory(dir);
  };
  const keepEnclosed = async (packed: Uint8Array | undefined, target: Part) => {
    const content = packed && (await unpack(packed, target, log));
    if (content !== undefined) await keep(target.sha256, content);
    return content !== undefined;
  };
  return {
    pathOf,
    keep,
    enclose(bundles) {
      if (bundles.length === 0) return;
      const bytes = bundles.reduce((sum, { gzip }) => sum + gzip.length, 0);
      enclosed = new Map(
        bytes > enclosedBytesMax ? [] : bundles.map(({ digest, gzip }) => [digest, Uint8Array.from(gzip)]),
      );
    },
    async stage(target, client, signal) {
      const path = pathOf(target.sha256);
      const packed = enclosed.get(`sha256:${target.sha256}`);
      const isThere = (await isWhole(path, target)) || (await keepEnclosed(packed, target));
      // Not before it is on disk, which may be full for now; what is no use is gone, too.
      enclosed.delete(`sha256:${target.sha256}`);
      if (isThere) return path;
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
    async prune(keep) {
      const names = await readdir(dir);
      const stale = names.filter((name) => !keep.some((sha256) => name.startsWith(sha256)));
      await Promise.all(stale.map((name) => rm(join(dir, name), { force: true })));
    },
  };
}

/** What an enclosed bundle holds, if that is what signed metadata lists; else it is fetched, and says what is wrong with that. */
async function unpack(packed: Uint8Array, target: Part, log: Logger): Promise<Buffer | undefined> {
  try {
    const content = await promisify(gunzip)(packed, { maxOutputLength: target.length });
    const sha256 = createHash("sha256").update(content).digest("hex");
    if (sha256 === target.sha256) return content;
    log.warn(
      { path: target.path, sha256 },
      "a bundle came with its assignment but is another: it is fetched",
    );
  } catch (error) {
    log.warn(
      { err: error, path: target.path },
      "a bundle that came with its assignment cannot be unpacked: it is fetched",
    );
  }
  return undefined;
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
