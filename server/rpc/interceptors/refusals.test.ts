import assert from "node:assert/strict";
import { test } from "node:test";

import { Code } from "@connectrpc/connect";
import { pino } from "pino";

import { PatternsTooSlow } from "../../store/pattern-time.ts";
import { toWire } from "./refusals.ts";

test("who asks with patterns that take too long is told what to do, and neither that the server has a bug nor to try the same again", () => {
  const { signal } = new AbortController();
  const answer = toWire(new PatternsTooSlow(), signal, "ListAlerts", pino({ level: "silent" }));
  assert.equal(answer.code, Code.InvalidArgument);
  assert.match(answer.rawMessage, /^Trying the patterns took too long: make them simpler/);
});
