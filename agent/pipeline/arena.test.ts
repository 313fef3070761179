import assert from "node:assert/strict";
import { test } from "node:test";
import { Arena } from "./arena.ts";
import { writeObject } from "./draft.ts";

test("an arena keeps what it has, where it has it, however often it grows", () => {
  const arena = new Arena();
  const first = arena.bytes.length;
  const line = Buffer.from("0123456789abcdef");
  const lines = Math.ceil((2 * first) / (line.length + 1));
  for (let nth = 0; nth < lines; nth++) {
    arena.reserve(line.length + 1);
    arena.put(line, 0, line.length);
    arena.putByte(0x0a);
  }
  assert.ok(arena.bytes.length > first);
  assert.equal(arena.bytes.toString("latin1", 0, arena.length), `${line.toString()}\n`.repeat(lines));
});

test("an object without members has room for its newline, also where the arena is full", () => {
  const arena = new Arena();
  const full = arena.bytes.length - 2;
  arena.length = full;
  writeObject(arena, []);
  arena.putByte(0x0a);
  assert.equal(arena.bytes.toString("latin1", full, arena.length), "{}\n");
});
