import { createHash } from "node:crypto";

import type { Digest } from "../domain/ids.ts";
import { readBlob } from "../store/bundles.ts";
import type { Db } from "../store/pool.ts";

/** Bundles in memory together; the largest there can be are 16 MiB each. */
export const blobBytesMax: number = 64 * 1024 * 1024;

/**
 * The bytes of bundles by digest, as the agents fetch them. What a digest names never changes, so a copy in memory is as good
 * as the row, and a rollout to thousands of agents reads it once. Nobody may write into what is handed out.
 */
export interface BlobBook {
  /**
   * Undefined when there is no such bundle. Bytes that are not those which the digest names are handed out as they are stored,
   * and never kept: the agent refuses them by itself and says so, here they are told to `onDamaged`.
   */
  get(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

export interface BlobOptions {
  readonly db: Db;
  /** Called with the digest that is asked for and that of what is stored. */
  readonly onDamaged: (digest: Digest, found: string) => void;
  readonly bytesMax?: number;
}

export function createBlobBook({ db, onDamaged, bytesMax = blobBytesMax }: BlobOptions): BlobBook {
  /** Used last stands last. */
  const held = new Map<Digest, Uint8Array<ArrayBuffer>>();
  const coming = new Map<Digest, Promise<Uint8Array<ArrayBuffer> | undefined>>();
  let bytes = 0;

  function keep(digest: Digest, content: Uint8Array<ArrayBuffer>): void {
    held.set(digest, content);
    bytes += content.length;
    for (const [oldest, old] of held) {
      if (bytes <= bytesMax) return;
      held.delete(oldest);
      bytes -= old.length;
    }
  }
  async function load(digest: Digest): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const stored = await readBlob(db, digest);
    if (stored === undefined) return undefined;
    const content = Uint8Array.from(stored);
    const found = `sha256:${createHash("sha256").update(content).digest("hex")}`;
    if (found === digest) keep(digest, content);
    else onDamaged(digest, found);
    return content;
  }
  return {
    get: (digest) => {
      const content = held.get(digest);
      if (content !== undefined) {
        held.delete(digest);
        held.set(digest, content);
        return Promise.resolve(content);
      }
      const under = coming.get(digest) ?? load(digest).finally(() => coming.delete(digest));
      coming.set(digest, under);
      return under;
    },
  };
}
