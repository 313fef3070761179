import type { EventEmitter } from "node:events";

import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { codeName } from "#traces/calls";

import type { Request, Response } from "../adapter.ts";
import { cutKey } from "../cut.ts";
import type { GateOptions } from "../gate.ts";
import { toWire } from "../interceptors/refusals.ts";
import { bad, writeError, writeJson } from "./answer.ts";
import { lokiDoor, lokiService } from "./door.ts";
import { findRequest, requests } from "./requests.ts";
import { lokiPath, splitUrl, type LokiOptions } from "./options.ts";
import { createTails, type Asking } from "./tail.ts";

/** Alerts as Loki would serve them, so that Grafana and other clients of Loki can read them. */
export interface LokiApi {
  serve(request: Request, response: Response, values: ContextValues): void;
  /** Takes a connection that asks to become a web socket. */
  upgrade(asking: Asking): void;
  /** Web sockets that are open. */
  tails(): number;
}

const parametersLettersMax = 12_000;
/** The body of a call is small; while it comes, others wait for their turn. */
const formMs = 5_000;
/** Within so long an answer has to be taken: 32 MiB at 5 Mbit/s. */
const takenMs = 60_000;

export function lokiApi(options: LokiOptions, gateOptions: GateOptions): LokiApi {
  const door = lokiDoor(gateOptions);
  const tails = createTails({ ...options, ...gateOptions, door });
  return {
    serve: (request, response, values) => {
      const done = new AbortController();
      response.once("close", () => done.abort());
      answer(request, response, values, done.signal)
        .then(() => cutLate(response, values.get(cutKey)))
        .catch((error: unknown) => {
          gateOptions.log.error({ err: error }, "an answer of Loki's API could not be written");
          response.destroy();
        });
    },
    upgrade: (asking) => tails.take(asking),
    tails: () => tails.count,
  };

  async function answer(
    request: Request,
    response: Response,
    values: ContextValues,
    signal: AbortSignal,
  ): Promise<void> {
    const began = performance.now();
    const [path, query] = splitUrl(request.url ?? "");
    const found = findRequest(path.slice(lokiPath.length));
    const method = found?.name ?? "Unknown";
    try {
      const scope = await door("Query", request.headers, values, signal);
      if (found === undefined) throw notFound(path);
      const text = request.method === "POST" ? await readForm(request, query) : query;
      if (request.method !== "GET" && request.method !== "POST") {
        throw bad("Only GET and POST are supported here");
      }
      if (text.length > parametersLettersMax) throw tooLong();
      const asked = {
        db: options.db,
        scope,
        signal,
        nowMs: options.clock().getTime(),
        params: new URLSearchParams(text),
        label: found.label,
      };
      writeJson(response, await requests[found.name](asked));
      observe("ok");
    } catch (error) {
      const known = toWire(error, signal, method, gateOptions.log);
      observe(codeName(known));
      if (!response.destroyed) writeError(response, known);
    }

    function observe(code: string): void {
      const seconds = (performance.now() - began) / 1000;
      gateOptions.observe({ service: lokiService, method, code, seconds });
    }
  }
}

/** The parameters of the path and those of a form in the body, which is how clients ask what is too long for a path. */
async function readForm(request: Request, query: string): Promise<string> {
  const type = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") {
    throw bad("The body of a POST has to be application/x-www-form-urlencoded");
  }
  const chunks: Buffer[] = [];
  let length = 0;
  const late = setTimeout(() => request.destroy(), formMs);
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.byteLength;
      if (length > parametersLettersMax) throw tooLong();
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(late);
  }
  return [Buffer.concat(chunks).toString(), query].filter((part) => part !== "").join("&");
}

function tooLong(): ConnectError {
  return bad(`the parameters have more than ${parametersLettersMax} letters`);
}

/** A call counts as work until its answer is taken: a reader that takes it drop by drop may not keep others out. */
export function cutLate(response: EventEmitter & { readonly closed: boolean }, cut: () => void): void {
  if (response.closed) return;
  const timer = setTimeout(cut, takenMs);
  response.once("close", () => clearTimeout(timer));
}

function notFound(path: string): ConnectError {
  const why =
    path === `${lokiPath}tail`
      ? "tail is a web socket: ask for it with Upgrade: websocket"
      : "There is no such call of Loki's API here";
  return new ConnectError(why, path === `${lokiPath}tail` ? Code.InvalidArgument : Code.NotFound);
}
