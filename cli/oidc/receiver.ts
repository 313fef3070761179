import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exitCodes, Failure, interrupted } from "../failure.ts";

/** Waits on this machine for the browser to come back from the identity provider. */
export interface Receiver {
  readonly redirectUri: string;
  /** The address that the browser came back to. */
  callback(signal: AbortSignal): Promise<URL>;
  close(): void;
}

const waitMs = 5 * 60_000;

/**
 * Listens on the loopback address only, on a free port. Any page in the browser can send requests here, so one with
 * another state is turned away and the waiting goes on.
 */
export async function startReceiver(state: string): Promise<Receiver> {
  let arrived: (url: URL) => void = () => {};
  const coming = new Promise<URL>((resolve) => {
    arrived = resolve;
  });
  let base = "";
  const server = createServer({ maxHeaderSize: 16 * 1024, requestTimeout: 10_000 }, (request, response) => {
    const url = new URL(request.url ?? "/", base);
    const isCallback = request.method === "GET" && url.pathname === "/callback";
    if (!isCallback) return say(response, 404, "Nothing is here.");
    if (url.searchParams.get("state") !== state) {
      return say(response, 400, "This is not the login that fleetctl waits for.");
    }
    say(response, 200, "fleetctl goes on in your terminal. You can close this page.");
    return arrived(url);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    redirectUri: `${base}/callback`,
    callback: (signal) => orGiveUp(coming, signal),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function orGiveUp(coming: Promise<URL>, signal: AbortSignal): Promise<URL> {
  const done = new AbortController();
  const ends = AbortSignal.any([signal, AbortSignal.timeout(waitMs)]);
  const gone = once(ends, "abort", { signal: done.signal }).then(() => {
    if (signal.aborted) throw interrupted();
    throw new Failure(exitCodes.refused, "Nobody logged in within five minutes", [
      "fleetctl login --oidc",
      "fleetctl login --oidc --device   where no browser can come back to this machine",
    ]);
  });
  // Whichever loses is of no interest any more.
  gone.catch(() => {});
  if (ends.aborted) throw interrupted();
  try {
    return await Promise.race([coming, gone]);
  } finally {
    done.abort();
  }
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    connection: "close",
  });
  response.end(`${text}\n`);
}
