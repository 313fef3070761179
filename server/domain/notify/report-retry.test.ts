import assert from "node:assert/strict";
import { test } from "node:test";

import { retryReportMs, triesMax } from "./report-retry.ts";

test("a report that always fails is tried eight times in two hours, and then not until its next day", () => {
  const waits = Array.from({ length: triesMax * 2 }, (_, i) => retryReportMs(i + 1, 0));
  const day = [1, 2, 4, 8, 16, 32, 60].map((minutes) => minutes * 60_000);
  assert.deepEqual(waits, [...day, undefined, ...day, undefined]);
});
