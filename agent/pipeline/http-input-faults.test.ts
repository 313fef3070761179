import assert from "node:assert/strict";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { auditLine, execRule, writeBundle } from "./testing/bundles.ts";
import { faultFolder, idsIn, missing, startDriver } from "./testing/faults.ts";
import { freePort } from "../../test/support/free-ports.ts";
import { until } from "./testing/until.ts";

/** Posts lists of events as fast as they are answered, over and over until it is stopped; notes what was acknowledged. */
class Poster {
  readonly acknowledged: string[] = [];
  readonly execs: string[] = [];
  refused = 0;
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true });
  #isDone = false;
  readonly finished: Promise<void>;

  constructor(port: number, name: string) {
    this.#port = port;
    this.finished = this.#run(name);
  }

  stop(): void {
    this.#isDone = true;
  }

  async #run(name: string): Promise<void> {
    for (let n = 0; !this.#isDone; n++) {
      const ids = Array.from({ length: 10 }, (_, at) => `${name}-${n}-${at}`);
      const exec = n % 7 === 0 ? ids[3] : undefined;
      const items = ids.map((id) =>
        auditLine(id, id === exec ? { objectRef: { resource: "pods", subresource: "exec" } } : {}),
      );
      const body = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[${items.join(",")}]}`;
      const status = await this.#post(body);
      if (status === 201) {
        this.acknowledged.push(...ids);
        if (exec !== undefined) this.execs.push(exec);
      } else {
        this.refused++;
        await sleep(20);
      }
    }
    this.#agent.destroy();
  }

  /** Status 0 stands for no answer. */
  async #post(body: string): Promise<number> {
    const options = {
      host: "127.0.0.1",
      port: this.#port,
      method: "POST",
      path: "/audit",
      agent: this.#agent,
    };
    return new Promise((resolve) => {
      const request = http.request(options, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
        response.on("error", () => resolve(0));
      });
      request.on("error", () => resolve(0));
      request.end(body);
    });
  }
}

test("every record whose request was acknowledged is delivered, however often the agent is killed", async (t) => {
  const dir = faultFolder(t);
  const port = await freePort();
  const config = `[INPUT]
  Name http
  Alias webhook
  Tag audit
  Port ${port}
  Uri /audit
[OUTPUT]
  Name file
  Alias kept
  Match audit
  Path ${join(dir, "out")}
  File audit.jsonl
  Format plain
[OUTPUT]
  Name detect
  Match audit
[OUTPUT]
  Name fleet
  Match alerts
`;
  const apply = JSON.stringify({
    rules: writeBundle(dir, "rules", execRule),
    shipper: writeBundle(dir, "shipper", config),
  });
  const alerts: string[] = [];
  const ports = { listen: port };
  let child = await startDriver(t, dir, apply, ports, alerts);
  const posters = ["a", "b", "c"].map((name) => new Poster(port, name));
  for (let kill = 0; kill < 8; kill++) {
    await sleep(50 + Math.random() * 500);
    child.kill("SIGKILL");
    await once(child, "exit");
    child = await startDriver(t, dir, apply, ports, alerts);
  }
  for (const poster of posters) poster.stop();
  await Promise.all(posters.map((poster) => poster.finished));
  const acknowledged = posters.flatMap((poster) => poster.acknowledged);
  const execs = posters.flatMap((poster) => poster.execs);
  const kept = join(dir, "out", "audit.jsonl");
  const isThere = () =>
    new Set(alerts).size >= execs.length && missing(acknowledged, idsIn(kept)).length === 0;
  await until("everything that was acknowledged", isThere, 30_000).catch(() => {});
  child.kill("SIGTERM");
  await once(child, "exit");
  const got = idsIn(kept);
  const refused = posters.reduce((sum, poster) => sum + poster.refused, 0);
  t.diagnostic(
    `${acknowledged.length} records acknowledged, ${refused} requests not, 8 kills: ` +
      `${got.length - new Set(got).size} records came twice`,
  );
  assert.ok(acknowledged.length > 100 && refused > 0);
  assert.deepEqual(missing(acknowledged, got), []);
  assert.ok(new Set(alerts).size >= execs.length);
  // Nothing piles up: what was delivered is gone from the spool.
  const spooled = fs
    .readdirSync(join(dir, "state", "spool", "http-webhook"))
    .filter((name) => name.endsWith(".spool"));
  assert.equal(spooled.length, 1);
});
