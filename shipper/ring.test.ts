import assert from "node:assert/strict";
import { test } from "node:test";
import { parseShipperConfig, renderProblems } from "./index.ts";

function read(service: string) {
  const content = `[SERVICE]\n${service}[INPUT]\n Name tail\n Tag a\n Path /var/log/a\n[OUTPUT]\n Name null\n Match *\n`;
  return parseShipperConfig([{ name: "a.conf", content }], {});
}

test("no events are kept for backtests unless a config says so, and then 256 MiB unless it says how many", () => {
  for (const [service, bytes] of [
    [" Flush 1\n", undefined],
    [" Backtest_Ring_Size 1G\n", undefined],
    [" Backtest_Ring on\n", 256 * 1024 * 1024],
    [" Backtest_Ring on\n Backtest_Ring_Size 64M\n", 64_000_000],
  ] as const) {
    const parsed = read(service);
    assert.ok(parsed.ok, service);
    assert.equal(parsed.config.service.ringBytesMax, bytes, service);
  }
});

test("a ring that would hold next to nothing, or the whole disk, is refused at its line", () => {
  for (const size of ["1M", "1000G"]) {
    const parsed = read(` Backtest_Ring on\n Backtest_Ring_Size ${size}\n`);
    assert.ok(!parsed.ok);
    assert.match(renderProblems(parsed.problems), /a\.conf:3:\d+: "backtest_ring_size/i);
  }
});
