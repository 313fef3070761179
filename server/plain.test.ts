import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { pino } from "pino";

import { defaultLimits } from "./limits.ts";
import { createThrottle } from "./log-throttle.ts";
import { plainHandler, type PlainOptions } from "./plain.ts";

const broken = () => Promise.reject(new Error("broken"));

/** The pages of a server, over plain HTTP; answers with how to ask for one, and with what was logged. */
async function pages(t: TestContext, options: Partial<PlainOptions>) {
  const lines: string[] = [];
  const answer = plainHandler({
    limits: defaultLimits.call,
    metrics: { text: () => Promise.resolve("up 1\n"), contentType: "text/plain" },
    console: { answer: () => false },
    unready: () => Promise.resolve([]),
    onRefused: () => undefined,
    throttle: createThrottle(defaultLimits.call.logLines),
    log: pino({ level: "info" }, { write: (line: string) => void lines.push(line) }),
    ...options,
  });
  const server = createServer((request, response) => answer(request.url ?? "", request, response, undefined));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()] as const;
  };
  return { ask, lines };
}

test("probes are answered when what they ask for breaks, and the log says why", async (t) => {
  const { ask, lines } = await pages(t, {
    unready: broken,
    metrics: { text: broken, contentType: "text/plain" },
  });
  const said = "This could not be told: the log of the server says why\n";
  assert.deepEqual(await ask("/readyz"), [500, said]);
  assert.deepEqual(await ask("/metrics"), [500, said]);
  // A scrape that broke is not kept for the next one.
  assert.deepEqual(await ask("/metrics"), [500, said]);
  assert.deepEqual(await ask("/healthz"), [200, "ok\n"]);
  assert.ok(lines.length >= 2 && lines.every((line) => line.includes("broken")), lines.join(""));
});

test("a server that is not ready says what is missing, and paths that nothing serves are no pages", async (t) => {
  const { ask } = await pages(t, { unready: () => Promise.resolve(["draining", "database: away"]) });
  assert.deepEqual(await ask("/readyz"), [503, "draining\ndatabase: away\n"]);
  assert.deepEqual(await ask("/metrics"), [200, "up 1\n"]);
  assert.deepEqual(await ask("/constructor"), [404, "There is no such call\n"]);
});
