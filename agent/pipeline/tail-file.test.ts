import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseShipperConfig } from "#shipper";
import type { TailConfig } from "#shipper";
import { DeadLetter } from "./dead-letter.ts";
import { ReadBuffer, TailFile } from "./tail-file.ts";

const parsed = parseShipperConfig([{ name: "a.conf", content: "[INPUT]\n Name tail\n Path /a\n" }], {});
const defaults = parsed.ok ? (parsed.config.inputs[0] as TailConfig) : assert.fail("the config is refused");

/** Reads what is there: whole lines, and `<long>` for one that was set aside. */
function readAll(file: TailFile, config: TailConfig, deadLetter: DeadLetter): string[] {
  const buffers = new ReadBuffer();
  const found: string[] = [];
  for (;;) {
    const reading = file.read(buffers, config, deadLetter, false);
    if (reading.kind === "busy") continue;
    if (reading.kind === "lines") {
      found.push(...reading.buffer.toString("utf8", 0, reading.length - 1).split("\n"));
      file.advance(reading.consumed);
    } else if (reading.kind === "long") {
      found.push("<long>");
      file.advance(reading.consumed);
    } else return found;
  }
}

test("lines come out whole, once and in order, wherever writes and chunks cut them, at every restart", (t) => {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-tail-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const deadLetter = new DeadLetter(join(dir, "parked"), {
    bytesMax: 1e9,
    onProblem: assert.fail,
    onEvicted: () => assert.fail(),
  });
  const line = fc.string({ maxLength: 90, unit: "grapheme" }).map((text) => text.replaceAll(/[\r\n]/g, ""));
  let files = 0;
  fc.assert(
    fc.property(
      fc.array(line, { minLength: 1 }),
      fc.array(fc.nat({ max: 200 })),
      fc.integer({ min: 1, max: 80 }),
      fc.integer({ min: 20, max: 300 }),
      fc.boolean(),
      (lines, cuts, chunkBytes, lineBytesMax, restarts) => {
        const path = join(dir, `log-${files++}`);
        const config = { ...defaults, chunkBytes, lineBytesMax };
        const content = Buffer.from(lines.map((text) => `${text}\n`).join(""));
        fs.writeFileSync(path, "");
        const open = (offset: number) =>
          new TailFile(fs.openSync(path, "r"), { path, base: path, order: 1 }, { offset });
        let file = open(0);
        const found: string[] = [];
        let at = 0;
        for (const cut of [...cuts, content.length]) {
          fs.appendFileSync(path, content.subarray(at, at + cut));
          at = Math.min(at + cut, content.length);
          found.push(...readAll(file, config, deadLetter));
          if (!restarts) continue;
          const offset = file.at;
          file.close();
          file = open(offset);
        }
        assert.equal(file.at, content.length);
        file.close();
        assert.equal(found.length, lines.length);
        for (const [index, text] of lines.entries()) {
          if (found[index] === "<long>") assert.ok(Buffer.byteLength(text) > lineBytesMax);
          else assert.equal(found[index], text);
        }
      },
    ),
    { numRuns: 300 },
  );
});
