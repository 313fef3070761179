import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { BuiltBundle, Bundle, Envelope, TargetRef } from "#trust";
import { auditLine } from "../../agent/pipeline/testing/bundles.ts";
import { programArgs } from "../support/built-programs.ts";
import { assign, bundleOf, firstRoot, newOnline, newPeople, quorum, refresh, release } from "./evil-keys.ts";
import type { OnlineKeys, People, Published } from "./evil-keys.ts";
import { EvilServer } from "./evil-server.ts";
import type { Answer } from "./evil-server.ts";
import { bareEnv } from "../support/bare-env.ts";

export const execRule = `- rule: Exec into pod
  desc: Somebody opened a shell in a running pod.
  condition: ka.target.subresource = exec
  output: exec by %ka.user.name
  priority: WARNING
  source: k8s_audit
  tags: [protected]
`;
export const otherRule = `- rule: Secret read
  desc: Somebody read a secret.
  condition: ka.verb = get and ka.target.resource = secrets
  output: secret read by %ka.user.name
  priority: NOTICE
  source: k8s_audit
`;

/** Tails the node's log into detection, and a folder that is named after the team, which is a label. */
export const goodShipper = `[INPUT]
  Name tail
  Tag audit
  Path \${AUDIT_LOG}
  Parser json
  Refresh_Interval 1
[INPUT]
  Name tail
  Alias team
  Tag team
  Path \${LOG_DIR}/team-\${TEAM}/*.log
[OUTPUT]
  Name detect
  Match audit
[OUTPUT]
  Name fleet
  Match *
`;

const layer = (name: string, team: string, content: string): Bundle["layers"][number] => ({
  name,
  level: "team",
  selector: { team },
  files: [{ path: "layer.yaml", content }],
});

/** The bundles that people released: good ones, old ones, and one with layers that nobody should have signed. */
export const good = {
  rules: bundleOf("rules", "watch", "1.0.0", execRule, {
    layers: [
      layer("quiet", "quiet", "- rule: Exec into pod\n  enabled: false\n  override: {enabled: replace}\n"),
      layer("broken", "broken", "- rule: half\n"),
    ],
  }),
  shipper: bundleOf("shipper", "ship", "1.0.0", goodShipper),
  nextRules: bundleOf("rules", "watch", "1.1.0", execRule + otherRule),
  oldRules: bundleOf("rules", "watch", "0.9.0", otherRule),
  fewerRules: bundleOf(
    "rules",
    "watch",
    "0.9.1",
    execRule.replace("= exec", "= exec and ka.user.name = nobody"),
  ),
  blindShipper: bundleOf("shipper", "ship", "0.9.0", goodShipper.replace("Name detect", "Name null")),
  deafShipper: bundleOf(
    "shipper",
    "ship",
    "0.9.1",
    `${goodShipper}[FILTER]\n  Name grep\n  Match audit\n  Exclude verb .\n`,
  ),
} as const satisfies Record<string, BuiltBundle>;

/** A real agent process, the server it belongs to in the attacker's hands, and what honest people released. */
export class EvilWorld {
  readonly server: EvilServer;
  readonly people: People;
  online: OnlineKeys;
  published: Published;
  /** Of snapshot and timestamp. */
  version: number = 1;
  /** Lists of layers that the server publishes, by the layer's name. */
  readonly lists: Map<string, Uint8Array> = new Map();
  generation: number = 0;
  readonly #dir: string;
  #child: ChildProcess | undefined;
  #said: string = "";

  private constructor(
    dir: string,
    server: EvilServer,
    people: People,
    online: OnlineKeys,
    published: Published,
  ) {
    this.#dir = dir;
    this.server = server;
    this.people = people;
    this.online = online;
    this.published = published;
  }

  static async begin(t: TestContext): Promise<EvilWorld> {
    const [people, online] = [newPeople(), newOnline()];
    const root = await firstRoot(people, online);
    const bundles = Object.values(good);
    const targets = await release(undefined, bundles, quorum(people.targets));
    const server = await EvilServer.start(t, root);
    const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-evil-")));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const published = { root, targets, ...(await refresh(online, targets, { version: 1 })) };
    const world = new EvilWorld(dir, server, people, online, published);
    for (const bundle of bundles) world.serve(bundle);
    mkdirSync(join(dir, "log"));
    writeFileSync(world.auditLog, "");
    writeFileSync(join(dir, "allow.json"), JSON.stringify({ tailDirectories: [join(dir, "log")] }));
    t.after(() => world.end());
    await world.start();
    await world.heal();
    await server.until("the good bundles run", () => world.isUnharmed());
    return world;
  }

  get auditLog(): string {
    return join(this.#dir, "log", "audit.log");
  }

  /** Starts the agent, as small as it fits. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ["--max-old-space-size=160", ...programArgs("agent")], {
      env: {
        ...bareEnv(),
        FALCONRY_STATE_DIR: join(this.#dir, "state"),
        FALCONRY_JOIN: this.server.joinString,
        FALCONRY_CLUSTER: "eu-1",
        FALCONRY_NODE: "n1",
        FALCONRY_TRANSPORT: "long-poll",
        FALCONRY_ALLOW_FILE: join(this.#dir, "allow.json"),
        FALCONRY_VAR_AUDIT_LOG: this.auditLog,
        FALCONRY_VAR_LOG_DIR: join(this.#dir, "log"),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const hear = (chunk: Buffer) => (this.#said = (this.#said + chunk.toString()).slice(-20_000));
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    const before = this.server.heard;
    // A process takes its time to start on a busy machine.
    await this.server.until(`the agent speaks: ${this.#said}`, () => this.server.heard > before, 150_000);
  }

  async end(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  assertAlive(): void {
    assert.equal(this.#child?.exitCode, null, `the agent process ended: ${this.#said}`);
    assert.equal(this.#child?.signalCode, null, `the agent process was ended: ${this.#said}`);
  }

  serve({ digest, bytes }: Pick<BuiltBundle, "digest" | "bytes">): void {
    this.server.blobs.set(digest, () => [bytes]);
  }

  /** The next generation; whatever is signed for it is for the attempt that the agent reports under it. */
  next(): number {
    this.generation += 1;
    return this.generation;
  }

  assign(...targets: readonly TargetRef[]): Promise<Envelope> {
    return assign(this.online, this.server.clusterId, this.next(), targets);
  }

  /** Honest metadata over these targets, newer than all before. */
  async publish(targets: Uint8Array): Promise<void> {
    this.version += 1;
    const { root } = this.published;
    const { version, lists } = this;
    this.published = { root, targets, ...(await refresh(this.online, targets, { version, lists })) };
  }

  /** People release one more bundle, which is served from now on. */
  async release(bundle: BuiltBundle, ...more: readonly BuiltBundle[]): Promise<void> {
    const add = [bundle, ...more];
    await this.publish(await release(this.published.targets, add, quorum(this.people.targets)));
    for (const one of add) this.serve(one);
  }

  metadata(change: Partial<Published> = {}): NonNullable<Answer["metadata"]> {
    const all = { ...this.published, ...change };
    const roles = (["root", "timestamp", "snapshot", "targets"] as const).map((role) =>
      wireMetadata(role, all[role]),
    );
    return [...roles, ...[...this.lists].map(([layer, list]) => wireMetadata(`layer-${layer}`, list))];
  }

  /** An honest answer: what is published, the good bundles, the right labels. */
  async honest(...targets: readonly TargetRef[]): Promise<Answer> {
    const assigned = targets.length === 0 ? [good.rules.target, good.shipper.target] : targets;
    const labels = { labels: { ...this.server.labels } };
    return { metadata: this.metadata(), assignment: wireEnvelope(await this.assign(...assigned)), labels };
  }

  /** Says what is honest until the agent has nothing to complain about. */
  async heal(): Promise<void> {
    const wrong = /^(metadata|assignment|labels)\//;
    // The attacker may have signed newer ones, and pinned targets that never were: people sign above them.
    await this.publish(await release(this.published.targets, [], quorum(this.people.targets)));
    for (let tries = 0; tries < 5; tries += 1) {
      await this.server.say(await this.honest());
      const isHealed = () => this.server.report?.conditions.some(({ code }) => wrong.test(code)) === false;
      const healed = await this.server.until("", isHealed, 3_000).then(
        () => true,
        () => false,
      );
      if (healed) return;
    }
    throw new Error(
      `The agent does not take what is honest any more: ${this.server.describe()}; ${this.#said}`,
    );
  }

  isUnharmed(): boolean {
    const { server } = this;
    return (
      server.running("rules") === good.rules.target.sha256 &&
      server.running("shipper") === good.shipper.target.sha256
    );
  }

  /** Writes an event that only a team's own rule may notice. */
  list(auditId: string): void {
    appendFileSync(this.auditLog, `${auditLine(auditId)}\n`);
  }

  /** Writes an event that the good rules notice. */
  plant(auditId: string): void {
    const objectRef = { resource: "pods", subresource: "exec", namespace: "default", name: "web" };
    appendFileSync(this.auditLog, `${auditLine(auditId, { objectRef, verb: "create" })}\n`);
  }

  /** Waits for the alert of a planted event, and says which rules raised it. */
  async alertOf(auditId: string): Promise<string> {
    const find = () => this.server.alerts.find((alert) => alert.auditId === auditId);
    await this.server.until(`the alert of ${auditId}`, () => find() !== undefined);
    return Buffer.from(find()?.rulesDigest ?? []).toString("hex");
  }

  stored(name: string): string {
    return readFileSync(join(this.#dir, "state", name), "utf8");
  }
}

export function wireMetadata(role: string, body: Uint8Array) {
  return { role, version: 1n, body: Uint8Array.from(body) };
}

export function wireEnvelope({ payloadType, payload, signatures }: Envelope) {
  return {
    payloadType,
    payload: Uint8Array.from(payload),
    signatures: signatures.map(({ keyId, signature }) => ({ keyId, signature: Uint8Array.from(signature) })),
  };
}
