import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

import {
  Code,
  ConnectError,
  createConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
} from "@connectrpc/connect";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import type { Logger } from "pino";

import { boundedBody, bodyShape, type BodyBounds } from "./bounded-body.ts";
import type { Mounted } from "./mount.ts";
import { plainCall, servePlain } from "./plain-call.ts";

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

export interface AdapterOptions {
  readonly services: readonly Mounted[];
  readonly router: Required<Pick<ConnectRouterOptions, "requestGate" | "interceptors" | "maxTimeoutMs">>;
  readonly partsMax: number;
  readonly onRefused: BodyBounds["onRefused"];
  readonly log: Logger;
}

/** A call that was found by its path. */
export interface Route {
  /** Messages may come for as long as the call lives, so that its body has no deadline. */
  readonly isOpenEnded: boolean;
  serve(request: Request, response: Response, values: ContextValues): void;
}

/**
 * Finds the method that a path names. Connect's own adapter throws from the event of a request that has no host, or one
 * that is no host, which ends the process, and writes to standard error whatever a peer breaks off: this one answers the
 * first and counts on the log's level for the second.
 */
export function createAdapter(options: AdapterOptions): (path: string) => Route | undefined {
  const routes = new Map<string, Route>();
  for (const mounted of options.services) {
    const router = createConnectRouter({
      ...options.router,
      acceptCompression: [compressionGzip],
      // What we do not know we do not need: kept unknown fields cost twice their decoding.
      binaryOptions: { readUnknownFields: false },
      readMaxBytes: mounted.readMaxBytes,
    });
    mounted.route(router);
    for (const handler of router.handlers) {
      routes.set(handler.requestPath, routeTo(handler, mounted, options));
    }
  }
  return (path) => routes.get(path);
}

function routeTo(handler: UniversalHandler, mounted: Mounted, options: AdapterOptions): Route {
  const { method } = handler;
  const { partsMax, onRefused, log, router } = options;
  const plain = mounted.plain.get(method);
  const bounds = { schema: method.input, bytesMax: mounted.readMaxBytes, partsMax, onRefused };
  const unwritten = (error: unknown, response: Response) => {
    const isPeerGone =
      response.destroyed || [Code.Aborted, Code.Canceled].includes(ConnectError.from(error).code);
    if (isPeerGone) log.debug({ err: error, method: method.name }, "an answer was not taken");
    else log.warn({ err: error, method: method.name }, "an answer could not be written");
  };
  return {
    isOpenEnded: method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming",
    serve: (request, response, values) => {
      const short = plain && plainCall(request, response, values);
      if (plain !== undefined && short !== undefined) {
        servePlain(plain, { ...router, log }, bounds, short).catch((error: unknown) =>
          unwritten(error, response),
        );
        return;
      }
      const call = readRequest(request, response, values);
      if (call === undefined) {
        refuseRequest(response);
        return;
      }
      handler(withBoundedBody(call, bounds))
        .then((answer) => universalResponseToNodeResponse(answer, response))
        .catch((error: unknown) => unwritten(error, response));
    },
  };
}

/** Undefined for a request whose host or path make no URL. */
function readRequest(
  request: Request,
  response: Response,
  values: ContextValues,
): UniversalServerRequest | undefined {
  try {
    return universalRequestFromNodeRequest(request, response, undefined, values);
  } catch {
    return undefined;
  }
}

function refuseRequest(response: Response): void {
  // The two kinds of response share these methods, but not a signature that TypeScript can call.
  (response as ServerResponse)
    .writeHead(400, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" })
    .end("The request names no host, or its host and path are no URL\n");
}

function withBoundedBody(call: UniversalServerRequest, bounds: BodyBounds): UniversalServerRequest {
  const shape = bodyShape(call.header);
  const { body } = call;
  if (shape === undefined || !isBytes(body)) return call;
  const header = new Headers(call.header);
  if (!shape.isEnveloped) {
    // The length is that of what came; what is handed on may be unpacked.
    header.delete("content-length");
    if (shape.isGzip) header.delete("content-encoding");
  }
  return { ...call, header, body: boundedBody(body, shape, bounds) };
}

function isBytes(body: UniversalServerRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
