/** The link against a real server: how it falls back and comes back, hears and tells, is replaced and lets go. */
import assert from "node:assert/strict";
import { createServer, connect } from "node:tls";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { pipeline as pipe } from "node:stream";
import { sql } from "../../server/store/drizzle.ts";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { certificateToPem, issueServerCertificate } from "#trust";
import { endpointOf } from "../identity/identity.ts";
import type { Identity } from "../identity/identity.ts";
import { startAgentFleet, until } from "../testing.ts";
import type { AgentFleet } from "../testing.ts";
import { enrolled, linked, shown } from "./fixture.ts";

/** Has the database of a server keep every goodbye that it takes, also those that the next session takes back. */
async function noteGoodbyes({ at: { db } }: AgentFleet): Promise<() => Promise<number | undefined>> {
  await db.execute(sql`create table goodbyes (at timestamptz)`);
  await db.execute(sql`create function note_goodbye() returns trigger language plpgsql as
    $$ begin insert into goodbyes values (new.left_at); return new; end $$`);
  await db.execute(sql`create trigger goodbyes after update on agents for each row
    when (new.left_at is not null and new.left_at is distinct from old.left_at) execute function note_goodbye()`);
  return async () => {
    const { rows } = await db.execute<{ n: number }>(sql`select count(*)::int as n from goodbyes`);
    return rows[0]?.n;
  };
}

for (const transport of ["stream", "long-poll"] as const) {
  test(`over ${transport}, a waiting link hears of changes and tells its own at once`, async (t) => {
    const fleet = await startAgentFleet(t);
    const { heard, raise } = linked(t, await enrolled(t, fleet), { transport });
    await shown(fleet, transport);
    await (await fleet.at.client(ClusterService)).labelCluster({ cluster: "eu-1", set: { team: "a" } });
    await until("the labels come", () => heard.some(({ labels }) => labels?.labels["team"] === "a"));
    const began = performance.now();
    raise("test/news");
    await until("the server knows", async () =>
      (await fleet.agent())?.conditions.some(({ code }) => code === "test/news"),
    );
    assert.ok(performance.now() - began < 9_000, "it waited for the next heartbeat");
  });

  test(`over ${transport}, an agent that is stopped has left at once, and one that begins another session has not`, async (t) => {
    const fleet = await startAgentFleet(t);
    const goodbyes = await noteGoodbyes(fleet);
    const { link, states } = linked(t, await enrolled(t, fleet), { transport });
    await shown(fleet, transport);
    const comes = () => states.filter(({ connected }) => connected).length;
    await until("it is there", () => comes() === 1);
    link.reconnect();
    await until("it is back", () => comes() === 2);
    await shown(fleet, transport);
    assert.equal((await fleet.agent())?.leftAt, undefined);
    assert.equal(await goodbyes(), 0, "it said goodbye, and was back before anybody looked");
    await link.stop();
    assert.equal(await goodbyes(), 1);
    const agent = await fleet.agent();
    assert.deepEqual([agent?.transport, agent?.leftAt !== undefined], ["", true]);
  });

  test(`over ${transport}, a copy of the identity takes over, and the older one is told`, async (t) => {
    const fleet = await startAgentFleet(t);
    const who = await enrolled(t, fleet);
    const old = linked(t, who, { transport });
    await shown(fleet, transport);
    linked(t, who, { transport });
    await until("the older one is told", () =>
      old.states.some(
        ({ connected, because }) => !connected && /newer session|again and again/.test(because),
      ),
    );
    await old.link.stop();
  });

  test(`over ${transport}, a revoked identity is told so in words, and the link goes on asking`, async (t) => {
    const fleet = await startAgentFleet(t);
    const { states } = linked(t, await enrolled(t, fleet), { transport });
    await shown(fleet, transport);
    await (await fleet.at.client(ClusterService)).retireCluster({ cluster: "eu-1" });
    await until(
      "it was told twice",
      () => states.filter((s) => /revoked|retired/.test(s.because)).length >= 2,
    );
  });
}

test("a long poll that the server does not know any more begins again in the same session", async (t) => {
  const fleet = await startAgentFleet(t);
  const { heard, raise, states } = linked(t, await enrolled(t, fleet), { transport: "long-poll" });
  await shown(fleet, "long-poll");
  await fleet.at.db.execute(sql`update agents set session_sequence = 999`);
  raise("test/after-the-gap");
  await until("it is asked for a hello", () => heard.some(({ needHello }) => needHello));
  await until("its news have come", async () =>
    (await fleet.agent())?.conditions.some(({ code }) => code === "test/after-the-gap"),
  );
  assert.equal(states.length, 1, "the session never ended");
});

/** Ends TLS with a certificate of the same CA and offers one protocol, as proxies do; upstream it speaks for the agent. */
async function startProxy(t: TestContext, fleet: AgentFleet, identity: Identity) {
  const { ca } = fleet.at.state;
  const leaf = await issueServerCertificate({ ca, names: ["localhost", "127.0.0.1"], now: new Date() });
  let protocol = "http/1.1";
  const { privateKey: key, certificateChain: cert } = identity;
  const proxy = createServer(
    {
      cert: certificateToPem(leaf.certificate),
      key: leaf.privateKey,
      // Undefined ends the handshake as a proxy does that has never heard of the protocol.
      ALPNCallback: ({ protocols }) => (protocols.includes(protocol) ? protocol : undefined),
    },
    (down) => {
      const up = connect({
        port: fleet.at.server.port,
        servername: "localhost",
        ca: fleet.at.ca,
        key,
        cert,
        ALPNProtocols: [protocol],
      });
      pipe(down, up, down, () => undefined);
    },
  );
  proxy.on("tlsClientError", () => undefined);
  proxy.listen(0, "127.0.0.1");
  await new Promise((resolve) => proxy.once("listening", resolve));
  t.after(() => proxy.close());
  const { port } = proxy.address() as AddressInfo;
  return { url: `https://localhost:${port}`, carry: (next: string) => (protocol = next) };
}

test("behind a proxy that only speaks HTTP/1.1 the link falls back to long poll by itself, and later goes back", async (t) => {
  const fleet = await startAgentFleet(t);
  const who = await enrolled(t, fleet);
  const proxy = await startProxy(t, fleet, who.identity);
  const { states } = linked(t, who, {
    endpoint: () => ({ ...endpointOf(who.identity), url: proxy.url }),
    streamRetriesMs: [8_000],
  });
  await shown(fleet, "long-poll");
  const vain = () => states.filter((s) => !s.connected && s.transport === "stream").length;
  await until("it tried the stream again, in vain", () => vain() >= 3);
  await shown(fleet, "long-poll");
  proxy.carry("h2");
  await shown(fleet, "stream");
  await until("the agent has heard of it", () => states.at(-1)?.transport === "stream");
});
