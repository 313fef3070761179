import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "./headers.ts";

type Init = readonly (readonly [string, string])[];
type Kind = new (init?: never) => globalThis.Headers;

const inits: readonly Init[] = [
  [],
  [
    ["X-B", "1"],
    ["x-a", " two\t"],
    ["x-b", "3"],
  ],
  [
    ["Set-Cookie", "a=1, b"],
    ["set-cookie", "c=2"],
    ["Authorization", "Bearer at_1.2"],
    ["grpc-status-details-bin", ""],
    ["x-latin", "\u00e9"],
  ],
];
const wrong: Init = [
  ["", "a"],
  ["a b", "c"],
  ["a:", "c"],
  ["\u00e9", "c"],
  ["a", "b\r\nc: d"],
  ["a", "b\0"],
  ["a", "\u0100"],
];

/** What a kind of headers makes of everything. */
function play(kind: Kind): unknown {
  const played = inits.map((init) => {
    const headers = new kind(init as never);
    const copy = new kind(headers as never);
    copy.set("X-A", " other ");
    copy.append("x-c", "1");
    copy.append("X-C", "2");
    copy.delete("X-B");
    const seen: unknown[] = [];
    copy.forEach((value, name) => seen.push([name, value]));
    return {
      all: [...headers],
      entries: [...headers.entries()],
      keys: [...headers.keys()],
      values: [...headers.values()],
      cookies: headers.getSetCookie(),
      got: ["x-b", "X-A", "none", "set-cookie"].map((name) => [headers.get(name), headers.has(name)]),
      seen,
      // What Node's own fetch takes from them.
      given: [...new globalThis.Headers(copy)],
    };
  });
  const refused = wrong.map(([name, value]) => {
    const headers = new kind();
    return [
      throwsTypeError(() => headers.append(name, value)),
      throwsTypeError(() => headers.set(name, value)),
      throwsTypeError(() => new kind({ [name]: value } as never)),
    ];
  });
  return { played, refused };
}

function throwsTypeError(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch (error) {
    assert.ok(error instanceof TypeError);
    return true;
  }
}

test("a built program's headers hold, join, order and refuse what Node's own do", () => {
  assert.deepEqual(play(Headers as unknown as Kind), play(globalThis.Headers as unknown as Kind));
});
