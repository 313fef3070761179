import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadRules } from "#engine";
import { startPipeline } from "../../agent/pipeline/pipeline.ts";
import type { ApplyRequest, BundleSource } from "../../agent/pipeline/pipeline.ts";
import { facts } from "../../agent/pipeline/testing/bundles.ts";
import { coverageLoss } from "../../server/loading/coverage.ts";
import { checkBundleLoads } from "../../server/loading/check-bundle.ts";
import {
  buildBundle,
  checkBundle,
  describeBundle,
  effectiveFiles,
  newTargets,
  parseBundle,
  readTargets,
} from "#trust";
import type { BuiltBundle, Bundle, TargetRef } from "#trust";
import { badBundles } from "./bad-bundles.ts";
import type { BadBundle } from "./bad-bundles.ts";
import { bundleOf, org } from "./evil-keys.ts";
import { good } from "./evil-world.ts";

/** What each layer says about one bundle, each asked alone. */
export interface Verdict {
  readonly name: string;
  readonly before: readonly string[];
  readonly agent: string | undefined;
  /** Whether the good bundles run after it. */
  readonly isUnharmed: boolean;
}

const [dir = ""] = process.argv.slice(2);
const [logs, bundles] = [join(dir, "log"), join(dir, "bundles")];
for (const folder of [logs, bundles]) mkdirSync(folder, { recursive: true });
writeFileSync(join(logs, "audit.log"), "");
const variables = { ...facts.variables, AUDIT_LOG: join(logs, "audit.log"), LOG_DIR: logs, TEAM: "payments" };
const pipeline = startPipeline({
  stateDir: join(dir, "state"),
  allowList: {
    destinations: [{ host: "logs.example.com", port: 443, tls: "required" }],
    fileDirectories: [],
    tailDirectories: [logs],
  },
  onAlerts: (_batch, ack) => ack(),
  onProblem: () => undefined,
});

function stored(bytes: Uint8Array, released?: BundleSource["released"]): BundleSource {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const path = join(bundles, `${sha256}.json`);
  writeFileSync(path, bytes);
  return { path, digest: `sha256:${sha256}`, ...(released === undefined ? {} : { released }) };
}

const known: ApplyRequest = { rules: stored(good.rules.bytes), shipper: stored(good.shipper.bytes) };

async function apply(request: ApplyRequest) {
  return pipeline.apply(request, { ...facts, labels: {}, variables });
}

async function restored(): Promise<boolean> {
  const { running } = await pipeline.stats();
  return running.rules === known.rules?.digest && running.shipper === known.shipper?.digest;
}

/** As metadata lists it: by what it is, unless the case says otherwise. */
function targetOf({ kind, bytes, listed = {} }: BadBundle): TargetRef {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const parsed = parseBundle(bytes);
  const path = parsed.ok ? describeBundle(parsed.value, bytes).target.path : `${kind}/bad/1.0.0.json`;
  return { kind, path, length: bytes.length, sha256, ...listed };
}

async function asked(bad: BadBundle): Promise<string[]> {
  const refusing: string[] = [];
  const parsed = parseBundle(bad.bytes);
  const input = read(bad.bytes);
  if (input !== undefined) {
    const built = buildBundle(input);
    if (!built.ok || !checkBundleLoads(built.value.bundle).ok) refusing.push("build");
  }
  if (signRefuses(bad)) refusing.push("sign");
  const target = targetOf(bad);
  const isListed = checkBundle(target, bad.bytes, org).ok;
  if (!parsed.ok || !isListed || !checkBundleLoads(parsed.value).ok) refusing.push("push");
  if (bad.kind === "rules" && parsed.ok && parsed.value.kind === "rules") {
    const [before, after] = [good.rules.bundle, parsed.value].map((one) =>
      loadRules(effectiveFiles(one, {})),
    );
    if (
      before?.ok === true &&
      after?.ok === true &&
      coverageLoss(before.ruleset, after.ruleset) !== undefined
    ) {
      refusing.push("guard");
    }
  }
  return refusing;
}

/** What `fleetctl bundle build` would be given; undefined for bytes that it never writes. */
function read(bytes: Uint8Array): Omit<Bundle, "format"> | undefined {
  try {
    const { format, ...input } = JSON.parse(Buffer.from(bytes).toString());
    const again = Object.entries({ format, ...input }).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const isBuilt = Buffer.from(JSON.stringify(Object.fromEntries(again))).equals(bytes);
    return isBuilt ? { ...input, ...(format === 1 ? {} : { format }) } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the list of released bundles would take it beside one that is released. */
function signRefuses(bad: BadBundle): boolean {
  const released = bundleOf("rules", "released", "1.0.0", "- list: a\n  items: []\n");
  const now = new Date();
  const first = newTargets(undefined, { add: [released], now });
  const target = targetOf(bad);
  const [, name = "", file = ""] = target.path.split("/");
  const bundle = { ...released.bundle, name, version: file.replace(/\.json$/, "") };
  const add: readonly Pick<BuiltBundle, "bundle" | "target">[] = [{ bundle, target }];
  const next = first.ok ? newTargets(first.value, { add, now }) : first;
  return !next.ok || !readTargets(next.value).ok;
}

/** What the agent says: first about the bytes that it fetched, then its worker about what is in them. */
async function agentSays(bad: BadBundle): Promise<string | undefined> {
  const target = targetOf(bad);
  const sha256 = createHash("sha256").update(bad.bytes).digest("hex");
  if (target.length !== bad.bytes.length) return "trust/length-mismatch";
  if (target.sha256 !== sha256) return "trust/hash-mismatch";
  const result = await apply({ [bad.kind]: stored(bad.bytes, { org, path: target.path }) });
  return result.ok ? undefined : result.reason;
}

async function judge(bad: BadBundle): Promise<Verdict> {
  const before = await asked(bad);
  const agent = await agentSays(bad);
  // What no layer stops is what gates are for; the way back from it has to be open.
  if (agent === undefined) await apply(known);
  return { name: bad.name, before, agent, isUnharmed: await restored() };
}

const begun = await apply(known);
if (!begun.ok) throw new Error(`${begun.reason}: ${begun.detail}`);
createInterface({ input: process.stdin }).on("line", () => undefined);
for (const bad of badBundles) process.stdout.write(`${JSON.stringify(await judge(bad))}\n`);
await pipeline.stop();
process.exit(0);
