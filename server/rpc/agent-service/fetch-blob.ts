import type { FetchBlobRequest, FetchBlobResponse } from "#proto/agent/v1/agent";

import { parseDigest, type Digest } from "../../domain/ids.ts";
import { refuse } from "../../domain/refusal.ts";
import { piecesFrom, type Piece } from "../../sessions/blobs.ts";
import type { SessionPorts } from "../../sessions/sessions.ts";
import { mayFetch } from "../../store/desired.ts";
import { orRefuse } from "../refusals.ts";

type Ports = Pick<SessionPorts, "db" | "desired" | "blobs">;

/** The bytes of a bundle from an offset. One that the cluster may not have is as missing as one that is not there. */
export async function* fetchBlob(
  ports: Ports,
  clusterId: string,
  request: FetchBlobRequest,
): AsyncGenerator<FetchBlobResponse> {
  for (const { message } of await findPieces(ports, clusterId, request)) yield message;
}

/** The same as they go over the wire: packed, to whom that can be read by. */
export async function fetchFrames(
  ports: Ports,
  { clusterId, takesGzip }: { readonly clusterId: string; readonly takesGzip: boolean },
  request: FetchBlobRequest,
): Promise<readonly Uint8Array[]> {
  const pieces = await findPieces(ports, clusterId, request);
  return pieces.map(({ frame, gzipFrame }) => (takesGzip ? gzipFrame : undefined) ?? frame);
}

async function findPieces(
  ports: Ports,
  clusterId: string,
  request: FetchBlobRequest,
): Promise<readonly Piece[]> {
  const digest = orRefuse(parseDigest("digest", request.digest));
  const blob = (await isFor(ports, clusterId, digest)) ? await ports.blobs.get(digest) : undefined;
  if (blob === undefined) return orRefuse(refuse({ kind: "not-found", what: "bundle", id: digest }));
  if (request.offset > BigInt(blob.length)) {
    const why = `offset ${request.offset} is beyond the end: the bundle has ${blob.length} bytes`;
    return orRefuse(refuse({ kind: "out-of-range", why }));
  }
  return piecesFrom(blob, Number(request.offset));
}

/** What an agent that speaks with this server was told to run is known here; for the rest the database is asked. */
async function isFor(
  { db, desired }: Pick<SessionPorts, "db" | "desired">,
  clusterId: string,
  digest: Digest,
): Promise<boolean> {
  const held = await desired.held(clusterId);
  const told = held === undefined ? [] : [...held.targets, ...held.layers];
  return told.some((part) => part.digest === digest) || mayFetch(db, clusterId, digest);
}
