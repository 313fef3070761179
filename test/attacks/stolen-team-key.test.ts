/** A team that owns a layer, and then a thief who has its key, and the server with every online key besides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildLayerRelease, generateKey, newLayerList, newTargets } from "#trust";
import type { BuiltLayer, LayerGrant, SigningKey } from "#trust";
import { must } from "../../server/testing.ts";
import { assign, org, quorum, sign } from "./evil-keys.ts";
import { EvilWorld, good, wireEnvelope } from "./evil-world.ts";

const [team, cards] = [generateKey(), generateKey()];
const base = good.nextRules;
const ownRule = `- rule: "payments: listed"
  desc: Somebody listed something.
  condition: ka.verb = list
  output: listed by %ka.user.name
  priority: NOTICE
  source: k8s_audit
`;

function grant(layer: string, key: SigningKey): LayerGrant {
  const bounds = { prefix: layer, tune: ["*"], replace: [] };
  return { layer, keys: [key.publicKey], threshold: 1, level: "team", selector: { team: layer }, ...bounds };
}

function releaseOf(version: string, content: string, name = "payments"): BuiltLayer {
  return must(buildLayerRelease({ org, name, version, files: [{ path: "rules.yaml", content }] }));
}

/** The layer's list with one release more, as whoever has a key can sign it. */
async function listOf(world: EvilWorld, release: BuiltLayer, key: SigningKey) {
  const layer = release.release.name;
  const change = { layer, add: [release], now: new Date() };
  return sign(must(newLayerList(world.lists.get(layer), change)), [key]);
}

async function publish(world: EvilWorld, release: BuiltLayer, key: SigningKey): Promise<void> {
  world.lists.set(release.release.name, await listOf(world, release, key));
  world.serve(release);
  await world.publish(world.published.targets);
}

/** Has the server assign these layers with the base until the agent has shown what the test waits for. */
async function say(world: EvilWorld, layers: readonly BuiltLayer[], what: string, isSo: () => boolean) {
  const { server } = world;
  const targets = [base.target, good.shipper.target];
  for (let tries = 0; tries < 6; tries += 1) {
    const own = layers.length === 0 ? {} : { layers: layers.map(({ target }) => target) };
    const assignment = await assign(world.online, server.clusterId, world.next(), targets, own);
    const labels = { labels: { region: "eu", team: "payments" } };
    await server.say({ metadata: world.metadata(), assignment: wireEnvelope(assignment), labels });
    const seen = await server.until("", isSo, 10_000).then(
      () => true,
      () => false,
    );
    if (seen) return;
  }
  assert.fail(`${what}: ${server.describe()}`);
}

const attempt = ({ server }: EvilWorld, kind: string) =>
  server.report?.components.find((one) => one.kind === kind)?.lastAttempt;

test(
  "a stolen team key changes one layer, within its terms, and a layer that is taken back is gone",
  { timeout: 280_000 },
  async (t) => {
    const world = await EvilWorld.begin(t);
    const { server } = world;
    const runs = (release: BuiltLayer | undefined) => () =>
      server.running("rules") === base.target.sha256 &&
      server.running("layer/payments") === (release?.target.sha256 ?? "");
    const first = releaseOf("1.0.0", ownRule);

    await t.test(
      "the team releases its layer with its own key: it runs beside the bundle, and both are proved",
      async () => {
        const delegate = [grant("payments", team), grant("cards", cards)];
        const unsigned = must(newTargets(world.published.targets, { add: [], delegate, now: new Date() }));
        await world.publish(await sign(unsigned, quorum(world.people.targets)));
        await publish(world, first, team);
        await say(world, [first], "the layer runs", runs(first));
        world.list("own-rule");
        assert.equal(await world.alertOf("own-rule"), base.target.sha256, "alerts name the bundle");
        world.plant("platform-rule");
        await world.alertOf("platform-rule");
      },
    );

    const beyond: readonly [string, string, string][] = [
      [
        "a protected rule",
        "layer/beyond-terms",
        "- rule: Exec into pod\n  priority: DEBUG\n  override: {priority: replace}\n",
      ],
      ["a rule that it may only tune", "layer/beyond-terms", "- rule: Secret read\n  enabled: false\n"],
      ["a name that is not its own", "layer/beyond-terms", ownRule.replace("payments: ", "")],
      ["rules that do not load", "rules/invalid", `${ownRule}- rule: half\n`],
    ];
    for (const [index, [what, reason, content]] of beyond.entries()) {
      await t.test(
        `with the team's key a thief releases ${what}: it is left out, and the layer of before goes on`,
        async () => {
          const stolen = releaseOf(`6.6.${index}`, content);
          await publish(world, stolen, team);
          const isRefused = () => {
            const { phase, reason: why } = attempt(world, "layer/payments") ?? {};
            return phase === "rejected" && why === reason && runs(first)();
          };
          await say(world, [stolen], what, isRefused);
          world.plant(`during-${index}`);
          await world.alertOf(`during-${index}`);
        },
      );
    }

    await t.test("the team's key signs no other layer, and no bundle", async () => {
      const before = new Map(world.lists);
      const foreign = releaseOf("1.0.0", ownRule.replace("payments", "cards"), "cards");
      world.lists.set("cards", await listOf(world, foreign, team));
      await world.publish(world.published.targets);
      const says = (code: string) => () =>
        server.report?.conditions.some(
          (one) => one.code === "metadata/refused" && one.message.includes(code),
        ) === true;
      await say(world, [first], "the list is refused", says("trust/unknown-key"));
      assert.ok(runs(first)());
      world.lists.clear();
      for (const [layer, list] of before) world.lists.set(layer, list);
      await publish(world, foreign, cards);
      await say(
        world,
        [first, foreign],
        "another team's layer is refused here",
        () => attempt(world, "layer/cards")?.reason === "trust/beyond-delegation",
      );
      assert.ok(runs(first)());
      assert.equal(server.running("layer/cards"), "");
    });

    await t.test("an older list of the layer never comes back", async () => {
      const list = world.lists.get("payments")!;
      world.lists.set(
        "payments",
        await sign(must(newLayerList(undefined, { layer: "payments", add: [first], now: new Date() })), [
          team,
        ]),
      );
      await world.publish(world.published.targets);
      await say(world, [first], "the old list is refused", () => /trust\/rollback/.test(server.describe()));
      assert.ok(runs(first)());
      world.lists.set("payments", list);
      await world.publish(world.published.targets);
      await say(
        world,
        [first],
        "the newest one is taken",
        () => !/metadata\/|trust\/rollback/.test(server.describe()),
      );
    });

    await t.test(
      "an agent that is killed starts with the bundle and the layer, and asks nobody",
      async () => {
        await world.end();
        await world.start();
        await server.until("both run again", runs(first));
      },
    );

    await t.test("a layer that is taken back goes, without a new assignment, and stays away", async () => {
      const before = world.published;
      const unsigned = must(newTargets(before.targets, { add: [], revoke: ["payments"], now: new Date() }));
      await world.publish(await sign(unsigned, quorum(world.people.targets)));
      for (let tries = 0; tries < 6 && !runs(undefined)(); tries += 1) {
        await server.say({ metadata: world.metadata() });
        await server.until("", runs(undefined), 10_000).catch(() => undefined);
      }
      assert.ok(runs(undefined)(), server.describe());
      assert.equal(attempt(world, "layer/payments")?.reason, "trust/not-delegated");
      await server.say({ metadata: world.metadata({ targets: before.targets, snapshot: before.snapshot }) });
      await say(
        world,
        [first],
        "it stays away",
        () => attempt(world, "layer/payments")?.generation === BigInt(world.generation),
      );
      assert.ok(runs(undefined)());
      world.plant("after-all");
      assert.equal(await world.alertOf("after-all"), base.target.sha256);
    });
  },
);
