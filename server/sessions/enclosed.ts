import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Logger } from "pino";

import type { SyncResponseSchema } from "#proto/agent/v1/agent";

import type { Digest } from "../domain/ids.ts";
import { chunkBytes, type BlobBook } from "./blobs.ts";
import type { Desired, DesiredBook } from "./desired.ts";
import type { Session } from "./session.ts";
import { layersFor } from "./trust-chain.ts";

/** Packed bytes of bundles in one message together: with an assignment it stays below 64 KiB. */
export const enclosedBytesMax: number = 48 * 1024;

interface Ports {
  readonly blobs: BlobBook;
  readonly desired: Pick<DesiredBook, "trustChain">;
  readonly log: Pick<Logger, "warn">;
}

type News = MessageInitShape<typeof SyncResponseSchema>;

/**
 * The bundles that go with an assignment: those that the agent does not hold, as far as there is room. All agents of a wave get the same
 * bytes, and none has to call for them. What was sent counts as held until the agent reports again, so that an assignment which is
 * offered with every answer brings it once. What cannot be read is left out: the agent fetches it, and hears there what is wrong.
 */
export async function enclosedFor(
  ports: Ports,
  session: Pick<Session, "takesEnclosed" | "takesLayers" | "holds">,
  desired: Desired,
): Promise<Pick<News, "bundles">> {
  const { holds, takesEnclosed, takesLayers } = session;
  if (!takesEnclosed || holds === undefined) return {};
  const layers = takesLayers ? layersFor(desired, await ports.desired.trustChain()) : [];
  const bundles: { readonly digest: string; readonly gzip: Uint8Array<ArrayBuffer> }[] = [];
  let room = enclosedBytesMax;
  for (const { digest, length } of [...desired.targets, ...layers]) {
    // What is longer is packed in more pieces than one.
    if (length > chunkBytes || holds.includes(digest)) continue;
    const gzip = await packedOf(ports, digest);
    if (gzip === undefined || gzip.length > room) continue;
    room -= gzip.length;
    bundles.push({ digest, gzip });
  }
  session.holds = [...holds, ...bundles.map(({ digest }) => digest)];
  return { bundles };
}

async function packedOf({ blobs, log }: Ports, digest: Digest) {
  try {
    return (await blobs.get(digest))?.gzip;
  } catch (error) {
    log.warn(
      { err: error, digest },
      "a bundle could not be read to go with its assignment: it has to be fetched",
    );
    return undefined;
  }
}
