import type { MessageInitShape } from "@bufbuild/protobuf";

import type { FetchBlobRequest, FetchBlobResponseSchema } from "#proto/agent/v1/agent";

import { parseDigest } from "../../domain/ids.ts";
import { refuse } from "../../domain/refusal.ts";
import { readBlob } from "../../store/desired.ts";
import type { Db } from "../../store/pool.ts";
import { orRefuse } from "../refusals.ts";

const chunkBytes = 256 * 1024;

/** The bytes of a bundle from an offset. One that the cluster may not have is as missing as one that is not there. */
export async function* fetchBlob(
  db: Db,
  clusterId: string,
  request: FetchBlobRequest,
): AsyncGenerator<MessageInitShape<typeof FetchBlobResponseSchema>> {
  const digest = orRefuse(parseDigest("digest", request.digest));
  const found = await readBlob(db, clusterId, digest);
  if (found === undefined) return orRefuse(refuse({ kind: "not-found", what: "bundle", id: digest }));
  const { content } = found;
  if (request.offset > BigInt(content.length)) {
    const why = `offset ${request.offset} is beyond the end: the bundle has ${content.length} bytes`;
    return orRefuse(refuse({ kind: "out-of-range", why }));
  }
  const length = BigInt(content.length);
  let at = Number(request.offset);
  // At least one message, so that the length is told even when nothing is left.
  do {
    yield { chunk: Uint8Array.from(content.subarray(at, at + chunkBytes)), length };
    at += chunkBytes;
  } while (at < content.length);
}
