import * as http from "node:http";
import * as https from "node:https";
import { isIP } from "node:net";
import { getCACertificates } from "node:tls";

import { mayRetryStatus, retryAfterMs, type Delivered } from "../domain/notify/retry.ts";
import { resolve, timeoutMsUsual, type Reach } from "./resolve.ts";

export interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** What answer of 2xx means that the receiver took it; anything does, unless this says otherwise. */
  readonly accepts?: (body: string) => boolean;
}

/** Of an answer nothing more is read. */
const answerBytesMax = 16 * 1024;
const shownChars = 200;

/**
 * Sends one POST to the address that its host has now, and to no other: no redirect is followed. The answer is bounded in size and
 * time. The URL may be a secret, so of it only the host is ever told.
 */
export async function post(request: Post, reach: Reach, nowMs: () => number): Promise<Delivered> {
  const url = URL.canParse(request.url) ? new URL(request.url) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return { ok: false, why: "The URL cannot be used", mayRetry: false };
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const target = await resolve(host, reach);
  if (!target.ok) return { ok: false, why: target.why, mayRetry: target.mayRetry };
  if (url.protocol === "http:" && !target.isOpened) {
    const why = `${host} would get it in plain text: use https, or open its network with FALCONRY_NOTIFY_NETWORKS`;
    return { ok: false, why, mayRetry: false };
  }
  return exchange(request, { url, host, address: target.address }, reach, nowMs);
}

interface Target {
  readonly url: URL;
  readonly host: string;
  readonly address: string;
}

function exchange(
  { headers, body, accepts }: Post,
  { url, host, address }: Target,
  { ca, timeoutMs = timeoutMsUsual }: Reach,
  nowMs: () => number,
): Promise<Delivered> {
  const isTls = url.protocol === "https:";
  const bytes = Buffer.from(body);
  return new Promise((done) => {
    const request = (isTls ? https : http).request(
      {
        host: address,
        port: url.port === "" ? undefined : Number(url.port),
        path: `${url.pathname}${url.search}`,
        method: "POST",
        agent: false,
        headers: { ...headers, host: url.host, "content-length": bytes.length, connection: "close" },
        ...(isTls ? { ...trusted(ca), ...(isIP(host) === 0 ? { servername: host } : {}) } : {}),
      },
      (response) => {
        readAnswer(response).then(
          (answer) => finish(judge(host, response, answer, { accepts, nowMs: nowMs() })),
          (error: unknown) => finish(failed(host, error)),
        );
      },
    );
    const timer = setTimeout(() => {
      request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    function finish(result: Delivered): void {
      clearTimeout(timer);
      request.destroy();
      done(result);
    }
    request.on("error", (error) => finish(failed(host, error)));
    request.end(bytes);
  });
}

/** CAs of an operator stand beside the usual ones. */
export function trusted(ca: readonly string[]): { readonly ca?: string[] } {
  return ca.length === 0 ? {} : { ca: [...getCACertificates("default"), ...ca] };
}

async function readAnswer(response: http.IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Uint8Array>) {
    parts.push(part);
    length += part.length;
    // The status came first and says what matters.
    if (length >= answerBytesMax) break;
  }
  return Buffer.concat(parts).subarray(0, answerBytesMax).toString("utf8");
}

interface Judging {
  readonly accepts: Post["accepts"];
  readonly nowMs: number;
}

function judge(
  host: string,
  { statusCode: status = 0, headers }: http.IncomingMessage,
  answer: string,
  { accepts = () => true, nowMs }: Judging,
): Delivered {
  const shown = answer
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(0, shownChars);
  const words = `${host} answered ${status}${shown === "" ? "" : `: ${shown}`}`;
  if (status >= 200 && status < 300 && accepts(answer)) return { ok: true, detail: words };
  if (status >= 300 && status < 400) {
    return {
      ok: false,
      why: `${host} answered ${status}, a redirect, and none is followed`,
      mayRetry: false,
    };
  }
  const asked = headers["retry-after"];
  const wait = retryAfterMs(asked, Date.parse(asked ?? ""), nowMs);
  const mayRetry = mayRetryStatus(status);
  return { ok: false, why: words, mayRetry, ...(wait === undefined ? {} : { retryAfterMs: wait }) };
}

function failed(host: string, error: unknown): Delivered {
  const why = error instanceof Error ? error.message : String(error);
  return { ok: false, why: `${host}: ${why}`, mayRetry: true };
}
