/** An agent whose server is in an attacker's hands, with its database and every key that it holds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newOnline, nextRoot, quorum, refresh } from "./evil-keys.ts";
import type { Expected, Move } from "./evil-moves.ts";
import { signedByMistake } from "./evil-releases.ts";
import { fastForward, replays } from "./evil-replays.ts";
import { takeover } from "./evil-takeover.ts";
import { EvilWorld, good } from "./evil-world.ts";

const moves: readonly Move[] = [...takeover, ...replays, ...signedByMistake];

test(
  "whatever a stolen server tries, what runs is what people released, and it goes on detecting",
  { timeout: 240_000 },
  async (t) => {
    assert.ok(moves.length >= 40, `${moves.length} moves`);
    assert.equal(
      new Set(moves.map(({ name }) => name)).size,
      moves.length,
      "each move has a name of its own",
    );
    const world = await EvilWorld.begin(t);
    const planted: string[] = [];
    for (const [index, move] of moves.entries()) {
      await t.test(`${move.row}: ${move.name}`, async () => {
        await play(world, move);
        const id = `during-move-${index}`;
        world.plant(id);
        planted.push(id);
        world.assertAlive();
        assert.ok(world.isUnharmed(), `something else runs: ${world.server.describe()}`);
        if (world.server.renewal !== undefined) {
          assert.ok(world.server.renewals > 0, "it asked for a certificate");
          world.server.renewal = undefined;
        }
        await world.heal();
      });
    }
    await t.test(
      "every threat that was planted during the moves raised its alert, by the good rules",
      async () => {
        for (const id of planted) assert.equal(await world.alertOf(id), good.rules.target.sha256);
      },
    );
    await t.test(
      "with labels that spoil its config, an agent that is killed starts with the labels it had",
      (s) => restart(s, world),
    );
    await t.test("what is honest still applies", async () => {
      await world.server.say(await world.honest(good.nextRules.target, good.shipper.target));
      const { sha256 } = good.nextRules.target;
      await world.server.until("the next rules run", () => world.server.running("rules") === sha256);
      world.plant("after-all");
      assert.equal(await world.alertOf("after-all"), sha256);
    });
    await t.test("a fast-forward holds everything up until people turn the keys, and never what runs", () =>
      recover(world),
    );
  },
);

/** Tries a move until the agent has answered as expected: a poll that it cuts short may swallow a word. */
async function play(world: EvilWorld, move: Move): Promise<void> {
  const { server } = world;
  const words = await move.play(world);
  const end = performance.now() + 30_000;
  for (let tries = 0; performance.now() < end; tries += 1) {
    for (const word of words) await server.say(word);
    // Said twice, it arrived: what an agent has to say itself cuts short a poll, and with it one answer at most.
    if (move.expected === "unmoved" && tries === 1 && server.renewal === undefined) return;
    if (server.renewal !== undefined && server.renewals > 0) return;
    if (move.expected === "unmoved") continue;
    const seen = await server
      .until("", () => isSeen(world, move.expected), 4_000)
      .then(
        () => true,
        () => false,
      );
    if (seen) return;
  }
  assert.fail(`expected ${JSON.stringify(move.expected)}, and the agent says: ${server.describe()}`);
}

function isSeen({ server, generation }: EvilWorld, expected: Expected): boolean {
  if (expected === "unmoved") return true;
  if ("condition" in expected) {
    const found = server.report?.conditions.find(({ code }) => code === expected.condition);
    return found?.message.includes(expected.code) === true;
  }
  const component = server.report?.components.find(({ kind }) => kind === expected.attempt);
  const { phase, reason, generation: tried } = component?.lastAttempt ?? {};
  return phase === "rejected" && reason === expected.reason && tried === BigInt(generation);
}

async function restart(_t: unknown, world: EvilWorld): Promise<void> {
  const { server } = world;
  await server.say({ labels: { labels: { region: "eu", team: "x/../../../../etc" } } });
  await server.until("the labels are refused", () => /shipper\/not-allowed/.test(server.describe()));
  await world.end();
  world.plant("while-it-was-dead");
  server.report = undefined;
  await world.start();
  assert.equal(await world.alertOf("while-it-was-dead"), good.rules.target.sha256);
  await server.until("it says what runs", () => world.isUnharmed());
  await world.heal();
}

async function recover(world: EvilWorld): Promise<void> {
  const { server, people } = world;
  await sayUntil(server, await fastForward(world), "it was taken in", () =>
    world.stored("trust/trusted.json").includes(`"generationFloor":${Number.MAX_SAFE_INTEGER}`),
  );
  const honest = [await world.honest(good.nextRules.target, good.shipper.target)];
  await sayUntil(
    server,
    honest,
    "the honest server is behind",
    () =>
      /metadata\/refused: trust\/rollback/.test(server.describe()) &&
      /assignment\/refused: trust\/stale-generation/.test(server.describe()),
  );
  assert.match(server.describe(), /assignment\/refused: trust\/stale-generation/);
  world.plant("held-up");
  await world.alertOf("held-up");

  const fresh = newOnline();
  const keysOf = {
    snapshot: [fresh.snapshot.publicKey],
    timestamp: [fresh.timestamp.publicKey],
    assignment: [fresh.assignment.publicKey],
  };
  const root = await nextRoot(world.published.root, quorum(people.root), ({ keys }) => ({
    keys: { ...keys, ...keysOf },
  }));
  world.online = fresh;
  const { targets } = world.published;
  world.published = { root, targets, ...(await refresh(fresh, targets, { version: 1 })) };
  const again = [await world.honest(good.nextRules.target, good.shipper.target)];
  await sayUntil(server, again, "all is well", () => !/refused/.test(server.describe()));
}

/** Says words until they show: a poll that the agent cuts short may swallow one. */
async function sayUntil(
  server: EvilWorld["server"],
  words: readonly Parameters<EvilWorld["server"]["say"]>[0][],
  what: string,
  isSo: () => boolean,
): Promise<void> {
  const triesMax = 12;
  for (let tries = 1; ; tries += 1) {
    for (const word of words) await server.say(word);
    try {
      return await server.until(what, isSo, 5_000);
    } catch (error) {
      if (tries === triesMax) throw error;
    }
  }
}
