import type { ServerResponse } from "node:http";

import type { Logger } from "pino";

import type { Connection } from "./connections.ts";
import type { Console } from "./console.ts";
import { createBuckets } from "./domain/token-bucket.ts";
import type { CallLimits } from "./limits.ts";
import type { Throttle } from "./log-throttle.ts";
import type { Metrics } from "./metrics.ts";
import type { Request, Response } from "./rpc/adapter.ts";

export interface PlainOptions {
  readonly limits: Pick<CallLimits, "keysMax" | "probes">;
  readonly metrics: Pick<Metrics, "text" | "contentType">;
  readonly console: Console;
  /** Empty when this server may get calls; otherwise what is missing, in words. */
  readonly unready: () => Promise<readonly string[]>;
  readonly onRefused: (reason: string) => void;
  readonly throttle: Throttle;
  readonly log: Logger;
}

/** Answers a path that is no call. */
export type Plain = (
  path: string,
  request: Request,
  response: Response,
  connection: Pick<Connection, "address"> | undefined,
) => void;

/** What is answered without credentials: health, readiness, metrics, and the files of the console. */
export function plainHandler(options: PlainOptions): Plain {
  const { metrics, limits, onRefused } = options;
  const buckets = createBuckets(limits.keysMax);
  let scrape: Promise<string> | undefined;
  // Many scrapes at once make one text.
  const text = () => (scrape ??= metrics.text().finally(() => (scrape = undefined)));
  const pages = new Map<string, () => Promise<Page>>([
    ["/healthz", () => Promise.resolve({ status: 200, text: "ok\n" })],
    ["/readyz", async () => readyPage(await options.unready())],
    ["/metrics", async () => ({ status: 200, text: await text(), type: metrics.contentType })],
  ]);
  return (path, request, response, connection) => {
    const waitMs = buckets.take(connection?.address ?? "", limits.probes, performance.now());
    const page = pages.get(path);
    if (waitMs > 0) {
      onRefused("probe-rate");
      const seconds = Math.ceil(waitMs / 1000);
      response.setHeader("retry-after", String(seconds));
      answer(response, {
        status: 429,
        text: `Too many requests of your address: try again in ${seconds} s\n`,
      });
    } else if (page !== undefined) void answerWith(response, path, page, options);
    else if (!options.console.answer(path, request, response)) {
      answer(response, { status: 404, text: "There is no such call\n" });
    }
  };
}

interface Page {
  readonly status: number;
  readonly text: string;
  /** Plain text without it. */
  readonly type?: string;
}

/** A page that cannot be made is an answer, too: who probes must not wait for one that never comes. */
async function answerWith(
  response: Response,
  path: string,
  make: () => Promise<Page>,
  { log, throttle }: Pick<PlainOptions, "log" | "throttle">,
): Promise<void> {
  const page = await make().catch((error: unknown): Page => {
    throttle(`page ${path}`, (leftOut) =>
      log.error({ err: error, path, leftOut }, "a page could not be made"),
    );
    return { status: 500, text: "This could not be told: the log of the server says why\n" };
  });
  answer(response, page);
}

function readyPage(missing: readonly string[]): Page {
  if (missing.length === 0) return { status: 200, text: "ready\n" };
  return { status: 503, text: `${missing.join("\n")}\n` };
}

function answer(response: Response, { status, text, type = "text/plain; charset=utf-8" }: Page): void {
  // Whoever asked may have gone while the page was made.
  if (response.destroyed || response.writableEnded) return;
  const head = { "content-type": type, "cache-control": "no-store" };
  // The two kinds of response share these methods, but not a signature that TypeScript can call.
  (response as ServerResponse).writeHead(status, head).end(text);
}
