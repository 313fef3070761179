import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import * as fc from "fast-check";
import { mutated } from "./mutate.ts";
import { targets } from "./targets.ts";

/** What a worker is asked to do. */
export interface FuzzTask {
  readonly target: string;
  /** So many inputs are tried whatever the time, and more until it is over. */
  readonly casesMin: number;
  readonly milliseconds: number;
  readonly seed: number;
}

/** What it says: every input before it runs, so that one which never ends is known, and how it went. */
export type FuzzNews =
  | { readonly kind: "input"; readonly input: string }
  | { readonly kind: "done"; readonly cases: number; readonly slowestMs: number; readonly slowest: string };

/** One input may keep the processor so long; a tenth of it is much already. How long it waits for one is not its fault. */
const caseMsMax = 2000;

const { target: name, casesMin, milliseconds, seed } = workerData as FuzzTask;
const target = targets[name];
if (target === undefined) throw new Error(`there is no fuzz target '${name}'`);
const port = parentPort;
const say = (news: FuzzNews): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  port?.postMessage(news);
};

let cases = 0;
let slowestMs = 0;
let slowest = "";

function runOne(input: string): void {
  say({ kind: "input", input });
  const start = process.threadCpuUsage();
  target?.run(input);
  const { user, system } = process.threadCpuUsage(start);
  const took = (user + system) / 1000;
  cases++;
  if (took > slowestMs) [slowestMs, slowest] = [took, input];
  if (took > caseMsMax) throw new Error(`took ${took.toFixed(0)} ms`);
  checkPrototypes();
}

const prototypes = [Object.prototype, Array.prototype, String.prototype, Map.prototype] as const;
const ownNames = (): string => prototypes.map((one) => Object.getOwnPropertyNames(one).join()).join(";");
const untouched = ownNames();

function checkPrototypes(): void {
  if (ownNames() !== untouched) throw new Error("a prototype was changed");
}

const folder = join(import.meta.dirname, "seeds");
for (const file of readdirSync(folder)) {
  if (file.startsWith(`${name}-`)) runOne(readFileSync(join(folder, file), "utf8"));
}

const property = fc.property(mutated(target.corpus, target.words), (input) => runOne(input));
fc.assert(property, { seed, numRuns: casesMin });
fc.assert(property, {
  seed: seed + 1,
  numRuns: 10_000_000,
  interruptAfterTimeLimit: milliseconds,
  markInterruptAsFailure: false,
});
say({ kind: "done", cases, slowestMs, slowest });
