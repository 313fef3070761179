import assert from "node:assert/strict";
import { test } from "node:test";

import { addressKey } from "./network.ts";
import { createNewcomers } from "./newcomers.ts";

test("when there are too many newcomers, the one that waits longest makes room, never the one that just came", () => {
  const newcomers = createNewcomers(3, 3);
  for (const key of ["a", "b", "c"]) assert.deepEqual(newcomers.arrive(key, key), []);
  assert.deepEqual(newcomers.arrive("d", "d"), ["a"]);
  newcomers.leave("b");
  assert.deepEqual(newcomers.arrive("e", "e"), []);
  assert.deepEqual(newcomers.arrive("f", "f"), ["c"]);
  assert.equal(newcomers.size, 3);
});

test("a flood from one address pushes out only its own, and is forgotten when it has gone", () => {
  const newcomers = createNewcomers(100, 10);
  newcomers.arrive("good", "10.0.0.1");
  const gone = new Set<string>();
  for (let i = 0; i < 1000; i += 1) {
    for (const key of newcomers.arrive(`evil ${i}`, "10.0.0.2")) gone.add(key);
  }
  assert.ok(!gone.has("good"));
  assert.equal(newcomers.size, 11);
  for (let i = 0; i < 1000; i += 1) newcomers.leave(`evil ${i}`);
  assert.equal(newcomers.size, 1);
});

for (const [address, key] of [
  ["10.0.0.1", "10.0.0.1"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0db8:0001:0002::9", "2001:db8:1:2::/64"],
  ["2001:db8::9", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
] as const) {
  test(`the addresses of one host are one: ${address} counts as ${key}`, () => {
    assert.equal(addressKey(address), key);
  });
}
