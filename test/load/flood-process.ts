import { once } from "node:events";

import { attack, attacks } from "../floods/attackers.ts";

/**
 * `flood-process PORT`: keeps every attack going over one connection each, opened again as soon as it is cut, until the
 * parent closes standard input. A process of its own, so that what attackers cost is not taken for what the server does.
 */
const [port = ""] = process.argv.slice(2);
const over = new AbortController();
const ended = once(over.signal, "abort");
let cuts = 0;
let bytes = 0;

async function keepAttacking(what: (typeof attacks)[number]): Promise<void> {
  while (!over.signal.aborted) {
    const attacker = attack({ port: Number(port) }, what);
    await Promise.race([attacker.cut, ended]);
    cuts += 1;
    bytes += attacker.bytesSent();
    attacker.stop();
    // A connection that is refused at once would otherwise be tried as fast as the system can.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

process.stdin.resume();
process.stdin.once("end", () => over.abort());
await Promise.all(attacks.map(keepAttacking));
process.stdout.write(`${JSON.stringify({ cuts, mebibytes: Math.round(bytes / 2 ** 20) })}\n`);
