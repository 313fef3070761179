import { newTargets, type BuiltBundle } from "#trust";

import { must, rulesBundle } from "../testing.ts";
import type { Pushed } from "./check-push.ts";

/** A bundle of 200 KB that loads, in about a minute: each rule writes out a list of 20,000 entries. */
export function slowBundle(version: string): BuiltBundle {
  const items = Array.from({ length: 20_000 }, (_, i) => `item${i}`).join(", ");
  const rules = Array.from(
    { length: 200 },
    (_, i) =>
      `- rule: r${i}\n  desc: d\n  condition: ka.verb in (l)\n  output: o\n  priority: INFO\n  source: k8s_audit\n`,
  );
  const content = `- list: l\n  items: [${items}]\n${rules.join("")}`;
  return rulesBundle(version, { files: [{ path: "rules.yaml", content }] });
}

/** A bundle of 3 MB whose entries take a hundred times as much as their text. */
export function largeBundle(version: string): BuiltBundle {
  const items = Array.from({ length: 400_000 }, (_, i) => i.toString(36)).join(", ");
  return rulesBundle(version, {
    files: [{ path: "rules.yaml", content: `- list: l\n  items: [${items}]\n` }],
  });
}

/** What a call that pushes these hands on. */
export function pushOf(...bundles: readonly BuiltBundle[]): Pushed {
  const targets = must(newTargets(undefined, { add: bundles, now: new Date() }));
  return { org: "default", bundles: bundles.map(({ bytes }) => bytes), targets };
}
