import type { ServerResponse } from "node:http";

import { Code, ConnectError } from "@connectrpc/connect";

import type { Checked } from "../../domain/logql/problem.ts";
import { withoutSecrets } from "../../domain/secret.ts";
import type { Response } from "../adapter.ts";

/** What Loki's clients get for what Connect's clients get under these codes. */
const statuses: Readonly<Partial<Record<Code, number>>> = {
  [Code.InvalidArgument]: 400,
  [Code.Unauthenticated]: 401,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.ResourceExhausted]: 429,
  [Code.Canceled]: 499,
  [Code.Unavailable]: 503,
  [Code.DeadlineExceeded]: 504,
};

export function statusOf({ code }: ConnectError): number {
  return statuses[code] ?? 500;
}

/** The value, or the sentence about it as the error that the client sees. */
export function orBad<T>(outcome: Checked<T>): T {
  if (outcome.ok) return outcome.value;
  throw bad(outcome.why);
}

/** What the caller can mend in the request. */
export function bad(why: string): ConnectError {
  return new ConnectError(withoutSecrets(why), Code.InvalidArgument);
}

export function writeJson(response: Response, body: object): void {
  write(response, 200, "application/json; charset=UTF-8", JSON.stringify(body));
}

/** As Loki writes errors: the sentence, as plain text. */
export function writeError(response: Response, error: ConnectError): void {
  const retryAfter = error.metadata.get("retry-after");
  if (retryAfter !== null) response.setHeader("retry-after", retryAfter);
  if (error.code === Code.Unauthenticated) {
    response.setHeader("www-authenticate", 'Basic realm="falconry", charset="UTF-8"');
  }
  write(response, statusOf(error), "text/plain; charset=utf-8", error.rawMessage);
}

function write(response: Response, status: number, type: string, text: string): void {
  const head = { "content-type": type, "cache-control": "no-store", "x-content-type-options": "nosniff" };
  // The two kinds of response share these methods, but not a signature that TypeScript can call.
  (response as ServerResponse).writeHead(status, head).end(text);
}
