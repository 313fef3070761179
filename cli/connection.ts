import { readFileSync } from "node:fs";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Http2Connection } from "#wire";
import {
  type Context,
  type Contexts,
  contextsPath,
  isDue,
  parseCa,
  parseServer,
  readContexts,
} from "./contexts.ts";
import { explainCall, type Place } from "./explain.ts";
import { misused } from "./failure.ts";
import { traceCalls } from "./tracing.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** What the base flags say about whom to call. */
export interface Wanted {
  readonly context?: string | undefined;
  readonly server?: string | undefined;
}

export interface Connection extends Place {
  client<S extends DescService>(service: S): Client<S>;
  /** Closes the connection, so that the process can end. */
  close(): void;
}

/** A server, and a token for it unless one is about to log in. */
export interface Reach {
  readonly server: string;
  readonly ca: string;
  readonly token?: string | undefined;
}

/** A call may take this long unless it streams. */
const callTimeoutMs = 30_000;
/** Above the 16 MiB that a push may carry. */
const messageBytesMax = 32 * 1024 * 1024;

/**
 * Finds the context that is meant and opens a connection for it; nothing is sent before the first call, unless the
 * context's login has to be renewed.
 */
export async function connect(wanted: Wanted, env: Env): Promise<Connection> {
  const { name, context } = await chooseContext(wanted, env);
  if (!isDue(context.login)) return openConnection(name, context);
  const { renewed } = await import("./oidc/renew.ts");
  const token = await renewed(name, context, contextsPath(env), (secret) =>
    openConnection(name, { ...context, token: secret }),
  );
  return openConnection(name, { ...context, token });
}

/** A connection over TLS that trusts the context's CA and nothing else. */
export function openConnection(name: string, context: Reach): Connection {
  const { token } = context;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw misused(
      `The token of context "${name}" is no API token: it holds a blank, a line break or a character outside ASCII`,
      "Copy it again: it is one line, at_ID.SECRET",
    );
  }
  const place: Place = { server: context.server, context: name };
  const sessionManager = new Http2Connection(
    context.server,
    // Pings find a dead link while a stream is quiet; without them a watch would wait for ever.
    { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 },
    { ca: context.ca, minVersion: "TLSv1.3" },
  );
  const transport = createConnectTransport({
    httpVersion: "2",
    baseUrl: context.server,
    sessionManager,
    interceptors: [
      explaining(place),
      ...traceCalls(context.server),
      ...(token === undefined ? [] : [bearing(token)]),
    ],
    defaultTimeoutMs: callTimeoutMs,
    readMaxBytes: messageBytesMax,
    writeMaxBytes: messageBytesMax,
  });
  return {
    ...place,
    client: (service) => createClient(service, transport),
    close: () => sessionManager.abort(),
  };
}

function bearing(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
}

/** Remembers where a call went, so that whoever explains its error can name the server. */
function explaining(place: Place): Interceptor {
  return (next) => async (request) => {
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: placed(response.message, place) };
    } catch (error) {
      throw placedError(error, place);
    }
  };
}

async function* placed<T>(messages: AsyncIterable<T>, place: Place): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw placedError(error, place);
  }
}

const places = new WeakMap<ConnectError, Place>();

function placedError(error: unknown, place: Place): ConnectError {
  const known = ConnectError.from(error);
  places.set(known, place);
  return known;
}

/** Explains an error of a call, naming the server it went to. Anything else comes back as it is. */
export function explainPlaced(error: unknown): unknown {
  const place = error instanceof ConnectError ? places.get(error) : undefined;
  return error instanceof ConnectError && place !== undefined ? explainCall(error, place) : error;
}

async function chooseContext(wanted: Wanted, env: Env): Promise<{ name: string; context: Context }> {
  const path = contextsPath(env);
  const fromEnv = contextOfEnv(wanted, env);
  if (fromEnv !== undefined) return { name: "FLEETCTL_TOKEN", context: fromEnv };
  const stored = await readContexts(path);
  const name = wanted.context ?? stored.current;
  if (name === undefined) {
    throw misused(
      `No server is known: there is no context in ${path}`,
      "npm start   brings up a fleet on this machine and stores a context for it",
      "fleetctl login --server https://HOST:PORT --token-file FILE --ca FILE   stores one for a server that runs",
    );
  }
  const context = Object.hasOwn(stored.contexts, name) ? stored.contexts[name] : undefined;
  if (context === undefined) throw unknownContext(name, stored, path);
  const server = wanted.server === undefined ? context.server : parseServer(wanted.server);
  return {
    name,
    context: {
      ...context,
      server: parseServer(server),
      ca: parseCa(context.ca, `Context "${name}" in ${path}`),
    },
  };
}

/** A message for a context that is not stored, with those that are. */
export function unknownContext(name: string, stored: Contexts, path: string): Error {
  const names = Object.keys(stored.contexts);
  const known = names.length === 0 ? "it holds none" : `it holds ${names.join(", ")}`;
  return misused(`There is no context "${name}" in ${path}: ${known}`, "fleetctl context list");
}

/** CI needs no contexts file: server, token and CA may come from the environment, all three together. */
function contextOfEnv(wanted: Wanted, env: Env): Context | undefined {
  const token = env["FLEETCTL_TOKEN"];
  if (token === undefined || token === "" || wanted.context !== undefined) return undefined;
  const caFile = env["FLEETCTL_CA_FILE"];
  if (wanted.server === undefined || caFile === undefined || caFile === "") {
    throw misused(
      "FLEETCTL_TOKEN is set, but not the server and the CA that go with it",
      "Set FLEETCTL_SERVER=https://HOST:PORT and FLEETCTL_CA_FILE=FILE too, or unset FLEETCTL_TOKEN to use a context.",
    );
  }
  return { server: parseServer(wanted.server), ca: parseCa(textOf(caFile), caFile), token: token.trim() };
}

function textOf(caFile: string): string {
  try {
    return readFileSync(caFile, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw misused(`The CA file ${caFile} cannot be read (${code})`, "Check FLEETCTL_CA_FILE.");
  }
}
