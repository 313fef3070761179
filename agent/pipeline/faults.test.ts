import assert from "node:assert/strict";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { auditLine, execRule, tailToFile, writeBundle } from "./testing/bundles.ts";
import { faultFolder, idsIn, missing, startDriver } from "./testing/faults.ts";
import { until } from "./testing/until.ts";

/** Appends numbered events until it is stopped, and rotates by rename as the API server does. */
class Writer {
  readonly written: string[] = [];
  readonly execs: string[] = [];
  readonly #log: string;
  readonly #rotateAt: number;
  #rotations = 0;
  #done = false;
  readonly finished: Promise<void>;

  constructor(log: string, rotateAt: number) {
    this.#log = log;
    this.#rotateAt = rotateAt;
    this.finished = this.#run();
  }

  stop(): void {
    this.#done = true;
  }

  get rotations(): number {
    return this.#rotations;
  }

  async #run(): Promise<void> {
    // On a busy machine the kills take long: more than this would only take long to count.
    for (let n = 0; !this.#done && n < 3000; n++) {
      const lines: string[] = [];
      for (let i = 0; i < 20; i++) {
        const id = `r-${n}-${i}`;
        const isExec = i === 7 && n % 5 === 0;
        if (isExec) this.execs.push(id);
        lines.push(auditLine(id, isExec ? { objectRef: { resource: "pods", subresource: "exec" } } : {}));
        this.written.push(id);
      }
      const text = `${lines.join("\n")}\n`;
      // In two writes, so that readers meet half lines.
      const cut = (n * 37) % text.length;
      fs.appendFileSync(this.#log, text.slice(0, cut));
      fs.appendFileSync(this.#log, text.slice(cut));
      if (fs.statSync(this.#log).size > this.#rotateAt) {
        const name = `audit-2026-11-22T10-00-00.${String(this.#rotations++).padStart(3, "0")}.log`;
        fs.renameSync(this.#log, join(this.#log, "..", name));
      }
      await sleep(5);
    }
  }
}

test("kill -9 at random moments under load and rotation loses no record and no alert", async (t) => {
  const dir = faultFolder(t);
  const log = join(dir, "log", "audit.log");
  const got: string[] = [];
  const sink = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      const isAway = Math.random() < 0.2;
      response.statusCode = isAway ? 503 : 200;
      const records = JSON.parse(text) as { auditID: string }[];
      if (!isAway) got.push(...records.map((record) => record.auditID));
      response.end();
    });
  });
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve));
  t.after(() => sink.close());
  const { port } = sink.address() as AddressInfo;
  const outputs = `[SERVICE]
  Flush 0.1
  Scheduler.Base 0.05
  Scheduler.Cap 0.2
[OUTPUT]
  Name detect
  Match audit
[OUTPUT]
  Name fleet
  Match alerts
[OUTPUT]
  Name http
  Alias sink
  Match audit
  Host 127.0.0.1
  Port ${port}
  Format json
`;
  const apply = JSON.stringify({
    rules: writeBundle(dir, "rules", execRule),
    shipper: writeBundle(dir, "shipper", tailToFile(log, join(dir, "out"), outputs)),
  });
  const alerts: string[] = [];
  fs.writeFileSync(log, "");
  let child = await startDriver(t, dir, apply, { sink: port }, alerts);
  const writer = new Writer(log, 200_000);
  for (let kill = 0; kill < 10; kill++) {
    await sleep(50 + Math.random() * 700);
    child.kill("SIGKILL");
    await once(child, "exit");
    child = await startDriver(t, dir, apply, { sink: port }, alerts);
  }
  writer.stop();
  await writer.finished;
  const kept = join(dir, "out", "audit.jsonl");
  // What costs most to look at comes last.
  const enough = () =>
    new Set(alerts).size >= writer.execs.length &&
    missing(writer.written, got).length === 0 &&
    missing(writer.written, idsIn(kept)).length === 0;
  await until("everything", enough, 120_000).catch(() => {});
  child.kill("SIGTERM");
  await once(child, "exit");
  const inFile = idsIn(kept);
  t.diagnostic(
    `${writer.written.length} records, ${writer.rotations} rotations, 10 kills: ` +
      `duplicates ${inFile.length - writer.written.length} in the file, ${got.length - writer.written.length} over http, ` +
      `${alerts.length - writer.execs.length} of ${writer.execs.length} alerts`,
  );
  assert.ok(writer.rotations > 3);
  assert.ok(fs.readFileSync(kept, "utf8").endsWith("\n"), "the file ends with half a line");
  assert.deepEqual(missing(writer.written, inFile), []);
  assert.deepEqual(missing(writer.written, got), []);
  // Found twice or delivered twice, an alert has one id.
  assert.equal(new Set(alerts).size, writer.execs.length);
});

test("SIGTERM during an outage keeps what is not delivered for the next start", async (t) => {
  const dir = faultFolder(t);
  const log = join(dir, "log", "audit.log");
  const outputs =
    "[SERVICE]\n Grace 0.2\n[OUTPUT]\n Name http\n Alias sink\n Match audit\n Host 127.0.0.1\n Format json_lines\n";
  const sink = createServer();
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve));
  const { port } = sink.address() as AddressInfo;
  await new Promise((resolve) => sink.close(resolve));
  const apply = JSON.stringify({
    shipper: writeBundle(dir, "shipper", tailToFile(log, join(dir, "out"), `${outputs} Port ${port}\n`)),
  });
  const ids = Array.from({ length: 500 }, (_, index) => `a-${index}`);
  fs.writeFileSync(log, ids.map((id) => `${auditLine(id)}\n`).join(""));
  const first = await startDriver(t, dir, apply, { sink: port }, []);
  await until("all records in the file", () => idsIn(join(dir, "out", "audit.jsonl")).length === ids.length);
  first.kill("SIGTERM");
  const [code] = (await once(first, "exit")) as [number | null];
  assert.equal(code, 0);
  fs.rmSync(log);
  const got: string[] = [];
  const back = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      got.push(
        ...text
          .trim()
          .split("\n")
          .map((line) => (JSON.parse(line) as { auditID: string }).auditID),
      );
      response.end();
    });
  });
  await new Promise<void>((resolve) => back.listen(port, "127.0.0.1", resolve));
  t.after(() => back.close());
  await startDriver(t, dir, apply, { sink: port }, []);
  await until("all records over http", () => got.length >= ids.length);
  assert.deepEqual(got, ids);
});
