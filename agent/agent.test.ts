/** Whole agents against a real server: what is assigned runs, and whatever goes wrong, what ran goes on. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { sql } from "../server/store/drizzle.ts";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { newHome, rules, shipper, startAgentFleet, until, type AgentFleet } from "./testing.ts";

/** What the server counted of the calls that it answered. */
async function callsOf({ at }: AgentFleet): Promise<string> {
  const [response] = (await once(get(`${at.baseUrl}/metrics`, { ca: at.ca }), "response")) as [
    IncomingMessage,
  ];
  return text(response);
}

const hex = (digest: string) => digest.slice("sha256:".length);

for (const transport of ["stream", "long-poll"] as const) {
  test(`over ${transport}, what is assigned is applied and proved, and what it notices arrives`, async (t) => {
    const fleet = await startAgentFleet(t);
    const config = shipper("1.0.0");
    await fleet.release(config);
    const home = newHome(t, await fleet.joinString(), { FALCONRY_TRANSPORT: transport });
    home.exec("before-the-rules");
    await home.start();
    await until("it is connected", async () => (await fleet.agent())?.transport === transport);
    await fleet.assign("shipper", "default@1.0.0");
    await until("it says that the shipper waits for rules", async () =>
      (await fleet.agent())?.conditions.some(({ code }) => code === "shipper/waits"),
    );
    await fleet.assign("rules", "starter@1.0.0");
    await until(
      "the rules are proved",
      async () => (await fleet.proved("rules")) === fleet.bundles[0]?.digest,
    );
    await until("the shipper is proved", async () => (await fleet.proved("shipper")) === config.digest);
    await until("what was written before the rules is noticed", async () =>
      (await fleet.alerts()).includes("before-the-rules"),
    );
    await fleet.assign("rules", "starter@1.1.0");
    await until(
      "the next rules are proved",
      async () => (await fleet.proved("rules")) === fleet.bundles[1]?.digest,
    );
    await fleet.assign("rules", "starter@1.0.0");
    await until(
      "the way back is proved",
      async () => (await fleet.proved("rules")) === fleet.bundles[0]?.digest,
    );
    home.exec("after-the-undo");
    await until("detection goes on", async () => (await fleet.alerts()).includes("after-the-undo"));
    await until("nothing is wrong any more", async () => (await fleet.agent())?.conditions.length === 0);
    const calls = await callsOf(fleet);
    assert.match(calls, /method="DeliverAlerts"/);
    // A poll that waits says nothing of what runs, so that its agent has to ask.
    assert.equal(
      calls.includes('method="FetchBlob"'),
      transport === "long-poll",
      "short bundles come by themselves",
    );
  });

  test(`over ${transport}, bytes that were changed on the server are refused, and run once they are right`, async (t) => {
    const fleet = await startAgentFleet(t);
    const [good, next] = fleet.bundles;
    assert.ok(good && next);
    const home = newHome(t, await fleet.joinString(), { FALCONRY_TRANSPORT: transport });
    await home.start();
    await fleet.assign("rules", "starter@1.0.0");
    await until("the first rules are proved", async () => (await fleet.proved("rules")) === good.digest);
    await fleet.at.db.execute(
      sql`update bundles set content = set_byte(content, 10, get_byte(content, 10) # 1) where digest = ${next.digest}`,
    );
    await fleet.assign("rules", "starter@1.1.0");
    await until("the refusal is told", async () =>
      (await fleet.agent())?.attempts.some(
        ({ phase, reason }) => phase === "rejected" && reason === "trust/hash-mismatch",
      ),
    );
    assert.equal(await fleet.proved("rules"), good.digest);
    await fleet.at.db.execute(
      sql`update bundles set content = set_byte(content, 10, get_byte(content, 10) # 1) where digest = ${next.digest}`,
    );
    await fleet.assign("rules", "starter@1.0.0");
    await until("it is back", () => home.current().assignment?.targets[0]?.sha256 === hex(good.digest));
    await fleet.assign("rules", "starter@1.1.0");
    await until(
      "a newer generation is tried again",
      async () => (await fleet.proved("rules")) === next.digest,
    );
  });
}

test("new labels choose other layers of what runs, and are told to whoever asks", async (t) => {
  const fleet = await startAgentFleet(t);
  const loud = rules("3.0.0", {
    layers: [
      {
        name: "payments",
        level: "team",
        selector: { team: "payments" },
        files: [{ path: "team.yaml", content: teamRule }],
      },
    ],
  });
  const config = shipper("1.0.0");
  await fleet.release(loud, config);
  const home = newHome(t, await fleet.joinString());
  await home.start();
  await fleet.assign("rules", "starter@3.0.0");
  await until("the rules are proved", async () => (await fleet.proved("rules")) === loud.digest);
  await fleet.assign("shipper", "default@1.0.0");
  await until("the shipper is proved", async () => (await fleet.proved("shipper")) === config.digest);
  await (await fleet.at.client(ClusterService)).labelCluster({ cluster: "eu-1", set: { team: "payments" } });
  await until("the labels have come", () => home.current().labels["team"] === "payments");
  let n = 0;
  await until("the team's rule fires", async () => {
    home.list(`labelled-${(n += 1)}`);
    const { rows } = await fleet.at.db.execute<{ rule: string }>(sql`select distinct rule from alerts`);
    return rows.some(({ rule }) => rule === "Team rule");
  });
});

const teamRule = `- rule: Team rule
  desc: Only this team looks at it.
  condition: ka.verb = list
  output: listed by %ka.user.name
  priority: WARNING
  source: k8s_audit
`;

test("an agent that starts without any server runs last-known-good and detects; the alert waits on disk", async (t) => {
  const fleet = await startAgentFleet(t);
  const config = shipper("1.0.0");
  await fleet.release(config);
  const home = newHome(t, await fleet.joinString());
  const first = await home.start();
  await fleet.assign("rules", "starter@1.0.0");
  await until("the rules are proved", async () => (await fleet.proved("rules")) !== undefined);
  await fleet.assign("shipper", "default@1.0.0");
  await until("the shipper is proved", async () => (await fleet.proved("shipper")) === config.digest);
  const since = home.current().running.rules?.sinceMs;
  await first.stop();
  await fleet.at.server.stop();
  const second = await home.start();
  home.exec("all-alone");
  const queue = join(home.paths.pipeline, "queue");
  await until("the alert is queued", () => holds(queue, "all-alone"));
  assert.equal(home.current().running.rules?.sinceMs, since);
  await second.stop();
});

test("a bundle that was damaged on disk is never claimed to run, and is fetched again", async (t) => {
  const fleet = await startAgentFleet(t);
  const [good] = fleet.bundles;
  assert.ok(good);
  const home = newHome(t, await fleet.joinString());
  const first = await home.start();
  await fleet.assign("rules", "starter@1.0.0");
  await until("the rules are proved", async () => (await fleet.proved("rules")) === good.digest);
  await first.stop();
  const file = join(home.paths.bundles, `${hex(good.digest)}.json`);
  writeFileSync(file, readFileSync(file).subarray(1));
  await home.start();
  await until("it is whole again", () => readFileSync(file).equals(Buffer.from(good.bytes)));
  await until("it is healthy", async () => {
    const agent = await fleet.agent();
    return agent?.conditions.length === 0 && agent.transport !== "" && agent.running.length === 1;
  });
});

function holds(dir: string, text: string): boolean {
  return globSync(join(dir, "**", "*.seg")).some((path) => readFileSync(path).includes(text));
}
