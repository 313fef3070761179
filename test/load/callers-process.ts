import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

import { openLink, type SimAddress } from "../support/sim-link.ts";

/**
 * `callers-process`: a line of standard input names agents as JSON; each line after it is a number of seconds for which they call, each over a
 * connection of its own and at its own pace, and is answered with a line of how long each call took, in milliseconds. A process of its own with little
 * in it: the garbage of what plays the rest of the fleet would be measured otherwise.
 */
const pauseMs = 100;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { value: addresses = "[]" } = await lines.next();
const links = (JSON.parse(addresses) as readonly SimAddress[]).map((address) => openLink("stream", address));

for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
  process.stdout.write(`${JSON.stringify(await call(Number(line.value)))}\n`);
}
await Promise.all(links.map((link) => link.close()));

/** A call that fails ends the process, and the run with it. */
async function call(seconds: number): Promise<readonly number[]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  await Promise.all(
    links.map(async ({ client }, i) => {
      await delay((i * pauseMs) / links.length);
      while (performance.now() < end) {
        const startedAt = performance.now();
        await client.deliverAlerts({ alerts: [] });
        times.push(performance.now() - startedAt);
        await delay(pauseMs);
      }
    }),
  );
  return times;
}
