import assert from "node:assert/strict";
import { parseShipperConfig, renderProblems } from "#shipper";
import { Arena } from "../arena.ts";
import { FilterChain, openFilters } from "../filter-chain.ts";
import type { FilterStats } from "../filter.ts";
import { RecordScanner } from "../scan.ts";
import { facts } from "./bundles.ts";

/** Filters as they run, for tests. */
export interface Filtered {
  /** The line that comes out, without its newline; undefined when the record was dropped. */
  line(record: string): string | undefined;
  /** The record as rules see it. */
  clear(record: string): string | undefined;
  stats(): readonly FilterStats[];
}

/** The filters of a config that is nothing but `[FILTER]` sections; each matches everything. */
export function filtered(sections: string, now: () => number = () => 0): Filtered {
  const content = sections.replaceAll(/^(\s*name\s+\S+)$/gim, "$1\n Match *");
  const parsed = parseShipperConfig([{ name: "filters.conf", content }], facts.variables);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  const filters = openFilters(parsed.config.filters, now);
  const chain = new FilterChain(filters);
  const scanner = new RecordScanner();
  const arena = new Arena();
  const run = (record: string, wantsClear: boolean): string | undefined => {
    arena.reset();
    const bytes = Buffer.from(record);
    assert.ok(scanner.scan(bytes, 0, bytes.length), scanner.why);
    if (!chain.apply(bytes, 0, bytes.length, scanner, arena)) {
      assert.equal(arena.length, 0, "a dropped record leaves nothing behind");
      return undefined;
    }
    if (wantsClear && chain.isMasked) {
      arena.reset();
      chain.putClear(arena);
    }
    const text = arena.bytes.toString("utf8", 0, arena.length);
    assert.ok(text.endsWith("\n"));
    return text.slice(0, -1);
  };
  return {
    line: (record) => run(record, false),
    clear: (record) => run(record, true),
    stats: () => filters.map((filter) => filter.stats()),
  };
}
