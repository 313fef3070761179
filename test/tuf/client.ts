import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

import { AgentError } from "../../agent/agent-error.ts";
import { openTrustStore, writeTrusted } from "../../agent/trust-store.ts";
import {
  bundleKinds,
  checkBundle,
  checkTarget,
  decodeTrusted,
  emptyTrusted,
  metadataBytesMax,
  roleNames,
  type Checked,
  type RoleName,
  type Trusted,
} from "#trust";
import { checkTargetBytes } from "../../trust/assignment.ts";
import { accept, refuse } from "../../trust/checked.ts";
import { viewTrusted } from "../../trust/trusted.ts";
import { checkChain } from "../../trust/update.ts";

/**
 * The agent's verifier and its store behind the command line of the public TUF conformance suite: `init ROOT`, `refresh`
 * and `download`. It only fetches, in the order in which TUF fetches; what is taken is decided by `agent/trust-store.ts` and
 * `#trust`. An agent gets the same documents pushed by its server instead.
 */
export async function runClient(args: readonly string[], now: Date): Promise<Checked<unknown>> {
  const text = { type: "string", default: "" } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      "metadata-dir": text,
      "metadata-url": text,
      "target-name": text,
      "target-dir": text,
      "target-base-url": text,
    },
  });
  const [command, rootFile = ""] = positionals;
  const repository = { dir: values["metadata-dir"], url: values["metadata-url"].replace(/\/$/, ""), now };
  if (command === "init") return init(repository.dir, readFileSync(rootFile));
  const refreshed = await refresh(repository);
  if (command === "refresh" || !refreshed.ok) return refreshed;
  return download(repository, {
    name: values["target-name"],
    dir: values["target-dir"],
    url: values["target-base-url"].replace(/\/$/, ""),
  });
}

interface Repository {
  readonly dir: string;
  readonly url: string;
  readonly now: Date;
}

const statePath = (dir: string) => join(dir, "trusted.state");

function init(dir: string, root: Uint8Array): Checked<unknown> {
  const begun = emptyTrusted(root);
  if (begun.ok) writeTrusted(statePath(dir), begun.value);
  if (begun.ok) show(dir, begun.value);
  return begun;
}

async function refresh({ dir, url, now }: Repository): Promise<Checked<unknown>> {
  try {
    const store = openTrustStore(statePath(dir), { org: "default", clusterId: "tuf" });
    const take = (role: RoleName, body: Uint8Array): Checked<unknown> => {
      const taken = store.update([{ $typeName: "agent.v1.Metadata", role, version: 0n, body }], now);
      show(dir, read(dir));
      return taken;
    };
    for (let next = store.versions().root + 1; ; next += 1) {
      const root = await get(`${url}/${next}.root.json`, metadataBytesMax);
      if (root === undefined) break;
      const taken = take("root", root);
      if (store.versions().root !== next) return taken.ok ? notRoot(next) : taken;
    }
    return await follow(dir, url, take);
  } catch (error) {
    if (error instanceof AgentError) return refuse("trust/incomplete", error.message);
    throw error;
  }
}

function notRoot(version: number): Checked<never> {
  return refuse("trust/version-mismatch", `${version}.root.json is not root ${version}`);
}

/** Timestamp, and what is then missing of snapshot and targets. */
async function follow(
  dir: string,
  url: string,
  take: (role: RoleName, body: Uint8Array) => Checked<unknown>,
): Promise<Checked<unknown>> {
  const timestamp = await get(`${url}/timestamp.json`, metadataBytesMax);
  if (timestamp === undefined) return refuse("trust/incomplete", "there is no timestamp.json");
  let taken = take("timestamp", timestamp);
  for (const [role, by] of [
    ["snapshot", "timestamp"],
    ["targets", "snapshot"],
  ] as const) {
    if (taken.ok || taken.refusal.code !== "trust/incomplete") return taken;
    const version = signedPart(read(dir), by)?.meta?.[`${role}.json`]?.version;
    if (version === undefined || version === signedPart(read(dir), role)?.version) continue;
    const prefix = signedPart(read(dir), "root")?.consistent_snapshot === true ? `${version}.` : "";
    const body = await get(`${url}/${prefix}${role}.json`, metadataBytesMax);
    if (body === undefined) return refuse("trust/incomplete", `there is no ${role} ${version}`);
    taken = take(role, body);
  }
  return taken;
}

interface Signed {
  readonly version: number;
  readonly consistent_snapshot?: boolean;
  readonly meta?: Readonly<Record<string, { readonly version: number }>>;
}

/** What a document says that has been verified. */
function signedPart(trusted: Trusted, role: RoleName): Signed | undefined {
  const text = trusted[role];
  return text === undefined ? undefined : (JSON.parse(text) as { signed: Signed }).signed;
}

function read(dir: string): Trusted {
  const decoded = decodeTrusted(readFileSync(statePath(dir), "utf8"));
  if (decoded.ok) return decoded.value;
  throw new Error(`${decoded.refusal.code}: ${decoded.refusal.message}`);
}

/** The suite looks at one file per role. They are for it alone: the agent reads its own state. */
function show(dir: string, trusted: Trusted): void {
  for (const role of roleNames) {
    const text = trusted[role];
    if (text === undefined) rmSync(join(dir, `${role}.json`), { force: true });
    else writeFileSync(join(dir, `${role}.json`), text);
  }
}

interface Artifact {
  readonly name: string;
  readonly dir: string;
  readonly url: string;
}

async function download({ dir, now }: Repository, { name, url, ...to }: Artifact): Promise<Checked<unknown>> {
  const trusted = read(dir);
  const view = viewTrusted(trusted);
  const inForce = view.ok ? checkChain(view.value, now) : view;
  if (!inForce.ok) return inForce;
  const { targets } = inForce.value.model;
  const entry = Object.hasOwn(targets, name) ? targets[name] : undefined;
  if (entry === undefined) return refuse("trust/not-listed", `targets do not list ${name}`);
  const sha256 = entry.hashes["sha256"];
  if (sha256 === undefined) return refuse("trust/hash-mismatch", `${name} is not listed by sha256`);
  const target = { path: name, length: entry.length, sha256 };
  const file = join(to.dir, encodeURIComponent(name));
  if (existsSync(file) && checkTargetBytes(target, readFileSync(file)).ok) return accept(file);

  const prefix = signedPart(trusted, "root")?.consistent_snapshot === true ? `${sha256}.` : "";
  const parts = name.split("/");
  const path = [...parts.slice(0, -1), `${prefix}${parts.at(-1)}`].map(encodeURIComponent).join("/");
  const bytes = await get(`${url}/${path}`, entry.length);
  if (bytes === undefined) return refuse("trust/incomplete", `there is no ${path}`);
  const kind = bundleKinds.find((known) => known === entry.custom["kind"]);
  const checked =
    kind === undefined ? checkTargetBytes(target, bytes) : bundle(trusted, { ...target, kind }, bytes, now);
  if (!checked.ok) return checked;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  return accept(file);
}

/** A bundle meets the same gates as in an agent: listed as it is assigned, then its bytes and its form. */
function bundle(
  trusted: Trusted,
  target: Parameters<typeof checkTarget>[1],
  bytes: Uint8Array,
  now: Date,
): Checked<unknown> {
  const listed = checkTarget(trusted, target, now);
  return listed.ok ? checkBundle(target, bytes, "default") : listed;
}

/** Never keeps more than one byte beyond the bound: the verifier then sees that it is too long. */
async function get(url: string, bytesMax: number): Promise<Uint8Array | undefined> {
  const response = await fetch(url);
  if (!response.ok || response.body === null) return undefined;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > bytesMax) break;
  }
  return Buffer.concat(chunks).subarray(0, bytesMax + 1);
}
