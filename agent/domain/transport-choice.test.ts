import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseTransport, firstChoice } from "./transport-choice.ts";

test("chooseTransport() stays on the stream while the server is away, however long", () => {
  let choice = firstChoice;
  for (let i = 0; i < 100; i += 1) choice = chooseTransport(choice, "away", i * 1000);
  assert.equal(choice.current, "stream");
});

test("chooseTransport() falls back to long poll after two streams that break before a word", () => {
  const once = chooseTransport(firstChoice, "broken", 0);
  assert.equal(once.current, "stream");
  assert.equal(chooseTransport(once, "broken", 0).current, "long-poll");
});

test("chooseTransport() forgets a broken stream once a stream has spoken", () => {
  const once = chooseTransport(firstChoice, "broken", 0);
  const spoke = chooseTransport(once, "spoke", 0);
  assert.equal(chooseTransport(spoke, "broken", 0).current, "stream");
});

test("chooseTransport() tries the stream again after a minute, and goes back after one more break", () => {
  const fallen = chooseTransport(chooseTransport(firstChoice, "broken", 0), "broken", 0);
  assert.equal(chooseTransport(fallen, "spoke", 59_999).current, "long-poll");
  const again = chooseTransport(fallen, "spoke", 60_000);
  assert.equal(again.current, "stream");
  const fallenAgain = chooseTransport(again, "broken", 61_000);
  assert.equal(fallenAgain.current, "long-poll");
  assert.equal(fallenAgain.retryStreamAtMs, 61_000 + 300_000);
});
