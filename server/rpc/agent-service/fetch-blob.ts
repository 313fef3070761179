import type { MessageInitShape } from "@bufbuild/protobuf";

import type { FetchBlobRequest, FetchBlobResponseSchema } from "#proto/agent/v1/agent";

import { parseDigest, type Digest } from "../../domain/ids.ts";
import { refuse } from "../../domain/refusal.ts";
import type { SessionPorts } from "../../sessions/sessions.ts";
import { mayFetch } from "../../store/desired.ts";
import { orRefuse } from "../refusals.ts";

const chunkBytes = 256 * 1024;

/** The bytes of a bundle from an offset. One that the cluster may not have is as missing as one that is not there. */
export async function* fetchBlob(
  ports: Pick<SessionPorts, "db" | "desired" | "blobs">,
  clusterId: string,
  request: FetchBlobRequest,
): AsyncGenerator<MessageInitShape<typeof FetchBlobResponseSchema>> {
  const digest = orRefuse(parseDigest("digest", request.digest));
  const content = (await isFor(ports, clusterId, digest)) ? await ports.blobs.get(digest) : undefined;
  if (content === undefined) return orRefuse(refuse({ kind: "not-found", what: "bundle", id: digest }));
  if (request.offset > BigInt(content.length)) {
    const why = `offset ${request.offset} is beyond the end: the bundle has ${content.length} bytes`;
    return orRefuse(refuse({ kind: "out-of-range", why }));
  }
  const length = BigInt(content.length);
  let at = Number(request.offset);
  // At least one message, so that the length is told even when nothing is left.
  do {
    yield { chunk: content.subarray(at, at + chunkBytes), length };
    at += chunkBytes;
  } while (at < content.length);
}

/** What an agent that speaks with this server was told to run is known here; for the rest the database is asked. */
async function isFor(
  { db, desired }: Pick<SessionPorts, "db" | "desired">,
  clusterId: string,
  digest: Digest,
): Promise<boolean> {
  const held = await desired.held(clusterId);
  return held?.targets.some((target) => target.digest === digest) === true || mayFetch(db, clusterId, digest);
}
