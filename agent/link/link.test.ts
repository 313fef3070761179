/** The link against a real server: how it falls back and comes back, hears and tells, is replaced and lets go. */
import assert from "node:assert/strict";
import { createServer, connect } from "node:tls";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { pipeline as pipe } from "node:stream";
import { sql } from "drizzle-orm";
import { ClusterService } from "#proto/fleet/v1/cluster";
import type { SyncResponse } from "#proto/agent/v1/agent";
import { certificateToPem, issueServerCertificate, signReport } from "#trust";
import { openAuditHead } from "../audit-head.ts";
import { createConditions } from "../conditions.ts";
import { openCurrent } from "../current.ts";
import { enroll } from "../identity/enroll.ts";
import { endpointOf } from "../identity/identity.ts";
import type { Identity } from "../identity/identity.ts";
import { createSpeaker } from "../speaker.ts";
import { log, newHome, startAgentFleet, until } from "../testing.ts";
import type { AgentFleet } from "../testing.ts";
import { openTrustStore } from "../trust-store.ts";
import { startLink } from "./link.ts";
import type { Link, LinkOptions, LinkState } from "./link.ts";

interface Linked {
  readonly link: Link;
  readonly states: LinkState[];
  readonly heard: SyncResponse[];
  /** Something to tell the server. */
  readonly raise: (code: string) => void;
}

async function enrolled(t: TestContext, fleet: AgentFleet) {
  const home = newHome(t, await fleet.joinString());
  const identity = await enroll(home.config, log, new AbortController().signal);
  return { home, identity };
}

type Enrolled = Awaited<ReturnType<typeof enrolled>>;

/** A link with nothing behind it but a list of what it heard. */
function linked(t: TestContext, { home, identity }: Enrolled, options: Partial<LinkOptions> = {}): Linked {
  const states: LinkState[] = [];
  const heard: SyncResponse[] = [];
  let version = 0;
  const conditions = createConditions(() => {
    version += 1;
    link.wake();
  });
  const speaker = createSpeaker({
    identity: () => identity,
    instance: { id: "instance-1", starts: 1n },
    current: openCurrent(home.paths.current).get,
    running: () => ({}),
    trust: openTrustStore(home.paths.trusted, identity),
    auditHead: openAuditHead(home.paths.auditHead, identity.org),
    conditions,
    reportVersion: () => version,
    shadow: () => undefined,
    backtest: () => undefined,
    rates: () => [],
    ratesAcknowledged: () => undefined,
    sign: (report) => signReport(identity.privateKey, report),
  });
  const link: Link = startLink({
    speaker,
    log,
    endpoint: () => endpointOf(identity),
    transport: "auto",
    take: (response) => {
      heard.push(response);
      return Promise.resolve();
    },
    onState: (state) => {
      states.push(state);
      if (process.env["UNTIL"]) console.log(JSON.stringify(state));
    },
    ...options,
  });
  t.after(() => link.stop());
  return { link, states, heard, raise: (code) => void conditions.raise(code, "for the test") };
}

const shown = (fleet: AgentFleet, transport: string) =>
  until(`the server shows "${transport}"`, async () => (await fleet.agent())?.transport === transport);

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

  test(`over ${transport}, a link that is stopped is gone from the server at once`, async (t) => {
    const fleet = await startAgentFleet(t);
    const { link } = linked(t, await enrolled(t, fleet), { transport });
    await shown(fleet, transport);
    await link.stop();
    await shown(fleet, "");
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
