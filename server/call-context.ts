import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

import { createContextValues, type ContextValues } from "@connectrpc/connect";

import type { Connection } from "./connections.ts";
import type { Outcome } from "./domain/refusal.ts";
import { cutRequest } from "./exchanges.ts";
import type { Request } from "./rpc/adapter.ts";
import { addressKey } from "./rpc/address.ts";
import { connectionKey } from "./rpc/admission.ts";
import { cutKey } from "./rpc/cut.ts";
import { peerKey, readPeer, type Peer } from "./rpc/interceptors/authenticate.ts";

/** The pin of the CA that issued a client certificate, if it is trusted now. */
export type IssuerOf = (certificate: X509Certificate) => string | undefined;

/** What a call knows of the connection that it came over. */
export function contextOf(
  request: Request,
  connection: Connection | undefined,
  issuerOf: IssuerOf,
): ContextValues {
  const values = createContextValues()
    .set(peerKey, peerOf(request, issuerOf))
    .set(addressKey, socketOf(request)?.remoteAddress ?? "")
    .set(cutKey, () => cutRequest(request));
  return connection === undefined ? values : values.set(connectionKey, connection);
}

const peers = new WeakMap<TLSSocket, Outcome<Peer>>();

/** A certificate is parsed once per connection. HTTP/2 hides its socket behind a proxy, HTTP/1.1 does not. */
function peerOf(request: Request, issuerOf: IssuerOf): Outcome<Peer> {
  const socket = socketOf(request);
  const known = peers.get(socket);
  if (known !== undefined) return known;
  const peer = readPeer(socket, issuerOf);
  peers.set(socket, peer);
  return peer;
}

/** The socket that a request came over; undefined, whatever the type says, when its session has let go of it. */
export function socketOf(request: Request): TLSSocket {
  const socket: unknown = "stream" in request ? request.stream.session?.socket : request.socket;
  return socket as TLSSocket;
}
