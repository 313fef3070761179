import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { chooseTransport, firstChoice, streamRetriesMs } from "../../agent/domain/transport-choice.ts";
import {
  beginsKept,
  flappingBegins,
  flappingWithinMs,
  judgeBegins,
  withBegin,
  type SessionBegin,
} from "./flapping.ts";
import { flappingKeptMs, freshSuspicions, noteSuspicion } from "./instance.ts";

const begin = (
  atMs: number,
  isOtherProcess = false,
  { transport = "stream", lostBy = "a/0", heldBy = "a/0" }: Partial<SessionBegin> = {},
): SessionBegin => ({ atMs, at: new Date(atMs).toISOString(), isOtherProcess, transport, lostBy, heldBy });

/** Sessions that begin this far apart, each by another process or all by the same. */
const every = (ms: number, isOtherProcess: boolean, count = flappingBegins): readonly SessionBegin[] =>
  Array.from({ length: count }, (_, i) => begin(1_000 + i * ms, isOtherProcess));

test("an agent whose sessions begin six times within ten minutes is told, one more slowly is not", () => {
  const gap = flappingWithinMs / (flappingBegins - 1);
  assert.equal(judgeBegins(every(gap, true))?.code, "session/flapping");
  assert.equal(judgeBegins(every(gap + 1, true)), undefined);
  assert.equal(judgeBegins(every(1, true, flappingBegins - 1)), undefined);
  assert.equal(judgeBegins([]), undefined);
});

test("people are told whether the agent ends or its connection does, and since when", () => {
  const ending = judgeBegins(every(30_000, true));
  assert.match(
    ending?.message ?? "",
    /^6 of its sessions began within 3 min, 5 of them by another process .*two processes use its identity/,
  );
  assert.equal(ending?.since, new Date(1_000).toISOString());
  const cut = judgeBegins(every(10_000, false));
  assert.match(
    cut?.message ?? "",
    /^6 of its sessions began within 50 s, by a process that goes on: .*proxies/,
  );
  assert.match(judgeBegins(every(-1, false))?.message ?? "", /within 1 s/, "servers' clocks differ");
});

test("however often sessions begin, a bounded number is remembered, and it is the newest that count", () => {
  const gaps = fc.array(fc.integer({ min: 0, max: flappingWithinMs }), { maxLength: 40 });
  fc.assert(
    fc.property(gaps, (between) => {
      let begins: readonly SessionBegin[] = [];
      const all: number[] = [];
      let atMs = 0;
      for (const gap of between) {
        atMs += gap;
        all.push(atMs);
        begins = withBegin(begins, begin(atMs));
        assert.ok(begins.length <= beginsKept);
        const since = all.at(-flappingBegins);
        const isTooOften = since !== undefined && atMs - since <= flappingWithinMs;
        assert.equal(judgeBegins(begins) !== undefined, isTooOften);
      }
    }),
  );
});

test("flapping is over ten minutes after the last beginning, and its start does not move while it goes on", () => {
  const at = (ms: number) => ({ text: new Date(ms).toISOString(), ms });
  const begins = every(1_000, false);
  const found = judgeBegins(begins);
  assert.ok(found);
  const noted = noteSuspicion([], found, at(6_000)) ?? [];
  assert.equal(noted[0]?.since, new Date(1_000).toISOString());
  const later = judgeBegins(withBegin(begins, begin(40_000)));
  assert.ok(later);
  const again = noteSuspicion(noted, later, at(40_000)) ?? [];
  assert.deepEqual(
    again.map(({ since, atMs }) => [since, atMs]),
    [[new Date(1_000).toISOString(), 40_000]],
  );
  assert.equal(freshSuspicions(again, 40_000 + flappingKeptMs).length, 1);
  assert.equal(freshSuspicions(again, 40_001 + flappingKeptMs).length, 0);
});

/** The beginnings at these runs of servers, the first of which the agent met as a newcomer, so many seconds apart. */
function around(runs: readonly string[], seconds: number): readonly SessionBegin[] {
  return runs.reduce<readonly SessionBegin[]>((begins, heldBy, i) => {
    const lostBy = runs[i - 1] ?? "";
    return withBegin(begins, begin(i * seconds * 1000, false, { lostBy, heldBy }));
  }, []);
}

test("an agent behind a proxy that holds answers back tries its transports in turn and does not count as flapping", () => {
  const silenceMs = 45_000;
  let choice = firstChoice;
  let begins: readonly SessionBegin[] = [];
  let count = 0;
  for (let atMs = 0; atMs < streamRetriesMs.slice(0, 3).reduce((a, b) => a + b);) {
    begins = withBegin(begins, begin(atMs, false, { transport: choice.current }));
    count += 1;
    assert.equal(judgeBegins(begins), undefined, `after ${count} sessions, at ${atMs / 1000} s`);
    const isPolling = choice.current === "long-poll";
    atMs = isPolling ? choice.retryStreamAtMs : atMs + silenceMs;
    choice = chooseTransport(choice, isPolling ? "spoke" : "broken", atMs);
  }
  assert.ok(count > flappingBegins, `${count} sessions began`);
});

test("a new process counts whatever it speaks over", () => {
  const turns = every(1_000, true).map((each, i) => ({
    ...each,
    transport: ["stream", "long-poll"][i % 2] ?? "",
  }));
  assert.equal(judgeBegins(turns)?.code, "session/flapping");
});

test("sessions that are lost with a server that ends again and again say nothing about the agent", () => {
  const runs = Array.from({ length: 12 }, (_, i) => `run-${i}/0`);
  assert.equal(judgeBegins(around(runs, 20)), undefined);
  const blips = Array.from({ length: 12 }, (_, i) => `run/${i}`);
  assert.equal(judgeBegins(around(blips, 20)), undefined);
});

test("an agent that goes around servers that go on is found", () => {
  const [a, b, c] = ["a/0", "b/0", "c/0"];
  assert.equal(judgeBegins(around([a, b, c, a, b, c, a, b, c], 40))?.code, "session/flapping");
  assert.equal(judgeBegins(around([a, b, c, a, b, c], 40)), undefined, "it is not known yet that they go on");
});
