import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";

import { openTrustStore, writeTrusted, type TrustStore } from "../../agent/trust-store.ts";
import { checkTarget, decodeTrusted, type Envelope, type Trusted } from "#trust";
import { valueOf } from "../../trust/fixture.ts";
import { signedForm } from "../../trust/json.ts";
import { parseMetadata } from "../../trust/metadata.ts";
import { viewTrusted, type TrustedView } from "../../trust/trusted.ts";
import { Attacker, evil, Fleet, holder, type Forgery, type Role, type Stolen } from "./attacker.ts";

// A short run in every test run, a long one where the other long ones run.
const runs = Number(process.env["FALCONRY_CHAOS_ROUNDS"] ?? "3") >= 10 ? 300 : 8;
const now = new Date("2030-01-01T00:00:00Z");
const foreign = await Fleet.begin(now, "other");

/** An agent with its state on a real disk. */
class Agent {
  readonly dir = mkdtempSync(join(tmpdir(), "falconry-attack-"));
  readonly path = join(this.dir, "trusted.json");
  #store: TrustStore;

  constructor(begin: Trusted) {
    writeTrusted(this.path, begin);
    this.#store = openTrustStore(this.path, holder);
  }

  take(documents: readonly (readonly [Role, Uint8Array])[]): boolean {
    const metadata = documents.map(([role, body]) => ({
      $typeName: "agent.v1.Metadata" as const,
      role,
      version: 0n,
      body: new Uint8Array(body),
    }));
    return this.#store.update(metadata, now).ok;
  }

  accept({ payloadType, payload, signatures }: Envelope): boolean {
    const signed = signatures.map((entry) => ({
      $typeName: "agent.v1.Signature" as const,
      keyId: entry.keyId,
      signature: new Uint8Array(entry.signature),
    }));
    const envelope = { $typeName: "agent.v1.Envelope" as const, payloadType, signatures: signed };
    return this.#store.accept({ ...envelope, payload: new Uint8Array(payload) }, now).ok;
  }

  /** Killed in the middle of a write, and started again. */
  restart(): void {
    writeFileSync(`${this.path}.4711`, readFileSync(this.path).subarray(0, 100));
    this.#store = openTrustStore(this.path, holder);
    assert.deepEqual(readdirSync(this.dir), ["trusted.json"]);
  }

  held(): Trusted {
    return valueOf(decodeTrusted(readFileSync(this.path, "utf8")));
  }
}

/** Moves that were played, in all games. */
let played = 0;

interface Game {
  readonly fleet: Fleet;
  readonly attacker: Attacker;
  readonly agent: Agent;
}

/** Plays one move, and looks at what must hold after any. */
function move(name: string, play: (game: Game) => unknown): fc.AsyncCommand<object, Game> {
  return {
    check: () => true,
    async run(_model, game) {
      played += 1;
      const before = game.agent.held();
      await play(game);
      const after = game.agent.held();
      onlyReleased(game, after);
      floorsHold(valueOf(viewTrusted(before)), valueOf(viewTrusted(after)));
      if (sameKeys(before, after, "assignment")) {
        assert.ok(after.generationFloor >= before.generationFloor, "the generation went back");
      }
    },
    toString: () => name,
  };
}

/** What is held was published by the fleet, and only what that lists may be started. */
function onlyReleased({ fleet }: Game, held: Trusted): void {
  const view = valueOf(viewTrusted(held));
  assert.ok(
    fleet.published.root.some((root) => root.toString() === held.root),
    "a root of a stranger",
  );
  if (view.targets !== undefined) {
    const said = signedForm(view.targets.signed);
    const released = fleet.published.targets.map((bytes) =>
      signedForm(valueOf(parseMetadata("targets", bytes)).signed),
    );
    assert.ok(released.includes(said), "targets that nobody signed");
  }
  const listed = Object.keys(view.targets?.model.targets ?? {});
  for (const { target } of [...fleet.bundles, ...foreign.bundles, evil]) {
    const own = fleet.bundles.some((bundle) => bundle.target.sha256 === target.sha256);
    const mayStart = checkTarget(held, target, now).ok;
    assert.ok(!mayStart || (own && listed.includes(target.path)), `${target.path} may start`);
  }
}

/** No version goes back, but for a root that replaced the online keys. */
function floorsHold(before: TrustedView, after: TrustedView): void {
  assert.ok(after.root.version >= before.root.version, "root went back");
  const online = (["timestamp", "snapshot"] as const).some(
    (role) => keysOf(before, role) !== keysOf(after, role),
  );
  if (online) return;
  const floors = ({ timestamp, snapshot }: TrustedView) => ({
    timestamp: timestamp?.version ?? 0,
    snapshot: Math.max(timestamp?.model.snapshotMeta.version ?? 0, snapshot?.version ?? 0),
    targets: snapshot?.model.meta["targets.json"]?.version ?? 0,
  });
  const [was, is] = [floors(before), floors(after)];
  for (const role of ["timestamp", "snapshot", "targets"] as const) {
    assert.ok(is[role] >= was[role], `the floor of ${role} went from ${was[role]} to ${is[role]}`);
  }
}

function keysOf(view: TrustedView, role: "timestamp" | "snapshot" | "assignment"): string {
  const authority = role === "assignment" ? view.root.assignment : view.root.roles[role];
  return [...(authority?.keys.keys() ?? [])].join();
}

function sameKeys(before: Trusted, after: Trusted, role: "assignment"): boolean {
  return keysOf(valueOf(viewTrusted(before)), role) === keysOf(valueOf(viewTrusted(after)), role);
}

const newest = ({ fleet, agent }: Game): boolean =>
  agent.take([
    ...fleet.published.root.map((root) => ["root", root] as const),
    ...(["timestamp", "snapshot", "targets"] as const).map(
      (role) => [role, fleet.published[role].at(-1)!] as const,
    ),
  ]);

/** What the attacker made last, or what is newest, of each of these roles. */
const sendForged = ({ attacker, agent }: Game, ...roles: readonly Role[]): boolean =>
  agent.take(
    roles.map((role) => [role, attacker.forged[role].at(-1) ?? attacker.known(role).at(-1)!] as const),
  );

const index = fc.nat(1000);
const version: fc.Arbitrary<Forgery["version"]> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -2, max: 2 }).map((by) => ({ by })) },
  { weight: 1, arbitrary: fc.constantFrom(1, 1000, Number.MAX_SAFE_INTEGER).map((of) => ({ of })) },
);
const forgery: fc.Arbitrary<Forgery> = fc.record({
  version,
  expired: fc.integer({ min: 0, max: 4 }).map((one) => one === 0),
  over: fc.oneof(fc.constant(0), fc.nat(3), index),
});
const damages = {
  none: (bytes: Uint8Array) => bytes,
  truncated: (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2),
  padded: (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(700_000, "\n")]),
  huge: (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(1_100_000, " ")]),
};
const role = fc.constantFrom<Role>("root", "timestamp", "snapshot", "targets");
const damage = fc.oneof(
  { weight: 5, arbitrary: fc.constant("none" as const) },
  { weight: 1, arbitrary: fc.constantFrom<keyof typeof damages>("truncated", "padded", "huge") },
);
const choice = fc.record({ role, index, damage });
const rotation = fc.constantFrom(
  ["snapshot", "timestamp"] as const,
  ["targets"] as const,
  ["root"] as const,
  ["assignment"] as const,
);

const honest = [
  fc.constant(move("release", ({ fleet }) => fleet.release())),
  fc.constant(move("renew", ({ fleet }) => fleet.renew())),
  fc.constant(move("deliver", newest)),
  fc.constant(move("assign", async ({ fleet, agent }) => agent.accept(await fleet.assign()))),
  fc.constant(move("kill", ({ agent }) => agent.restart())),
  rotation.map((roles) => move(`rotate ${roles.join()}`, ({ fleet }) => fleet.rotate(...roles))),
];
const attacks = [
  // Whatever was seen or made, of any time, in any combination, whole or damaged.
  fc.array(choice, { minLength: 1, maxLength: 5 }).map((chosen) =>
    move(`send ${JSON.stringify(chosen)}`, ({ attacker, agent }) =>
      agent.take(
        chosen.flatMap(({ role, index, damage }) => {
          const known = [...attacker.known(role), ...foreign.published[role]];
          return [[role, damages[damage](known[index % known.length]!)] as const];
        }),
      ),
    ),
  ),
  // His newest work, sent as a server would.
  fc.constant(
    move("send what was forged last", (game) => sendForged(game, "root", "timestamp", "snapshot", "targets")),
  ),
  forgery.map((f) =>
    move(`forge timestamp ${JSON.stringify(f)}`, async (game) => {
      await game.attacker.forgeTimestamp(f);
      return sendForged(game, "timestamp", "snapshot");
    }),
  ),
  forgery.map((f) =>
    move(`forge online ${JSON.stringify(f)}`, async (game) => {
      await game.attacker.forgeOnline(f);
      return sendForged(game, "timestamp", "snapshot", "targets");
    }),
  ),
  forgery.map((f) =>
    move(`forge targets ${JSON.stringify(f)}`, async (game) => {
      await game.attacker.forgeTargets(f);
      await game.attacker.forgeOnline({ version: { by: 1 }, expired: false, over: 0 });
      return sendForged(game, "timestamp", "snapshot", "targets");
    }),
  ),
  forgery.map((f) =>
    move(`forge root ${JSON.stringify(f)}`, async (game) => {
      await game.attacker.forgeRoot(f);
      return sendForged(game, "root");
    }),
  ),
  fc.constant(
    move("foreign root", async (game) => {
      await game.attacker.foreignRoot();
      return sendForged(game, "root");
    }),
  ),
  fc
    .record({
      generation: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(1000, Number.MAX_SAFE_INTEGER)),
      org: fc.constantFrom("default", "default", "other"),
      clusterId: fc.constantFrom("c-1", "c-1", "c-2"),
    })
    .map((said) =>
      move(`assign ${JSON.stringify(said)}`, async ({ attacker, agent }) => {
        const accepted = agent.accept(await attacker.assignment(said));
        assert.ok(!accepted || (said.org === holder.org && said.clusterId === holder.clusterId));
      }),
    ),
];

const stolen: fc.Arbitrary<Stolen> = fc.record({
  root: fc.constantFrom<0 | 1>(0, 1),
  targets: fc.constantFrom<0 | 1>(0, 1),
});

test(
  "whoever owns the transport, the server's keys and one offline key of two can neither have anything run nor turn anything back, and new keys shut him out",
  { timeout: 3_600_000 },
  async (t) => {
    const commands = fc.commands([...honest, ...attacks], { maxCommands: 24, size: "max" });
    await fc.assert(
      fc.asyncProperty(stolen, commands, async (theft, moves) => {
        const fleet = await Fleet.begin(now);
        const agent = new Agent(fleet.joined());
        const game: Game = { fleet, attacker: new Attacker(fleet, theft), agent };
        try {
          assert.ok(newest(game));
          await fc.asyncModelRun(() => ({ model: {}, real: game }), moves);
          // Whatever he did: new online keys, one more release, and the fleet goes on.
          await fleet.rotate("snapshot", "timestamp", "assignment");
          await fleet.release();
          assert.ok(newest(game), "the fleet does not come back");
          assert.ok(checkTarget(agent.held(), fleet.bundles.at(-1)!.target, now).ok);
          assert.ok(agent.accept(await fleet.assign()));
        } finally {
          rmSync(agent.dir, { recursive: true, force: true });
        }
      }),
      // A game is short enough to read; making it shorter would take minutes.
      { numRuns: runs, endOnFailure: true },
    );
    t.diagnostic(`${runs} games with ${played} moves`);
  },
);
