/** What stands between an agent and its server and breaks the stream without a word: the link finds it out by itself. */
import assert from "node:assert/strict";
import { createSecureServer, connect as connectHttp2, constants } from "node:http2";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { request as requestHttps } from "node:https";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { certificateToPem, issueServerCertificate } from "#trust";
import { endpointOf } from "../identity/identity.ts";
import type { Identity } from "../identity/identity.ts";
import { startAgentFleet, until } from "../testing.ts";
import type { AgentFleet } from "../testing.ts";
import { enrolled, linked, shown } from "./fixture.ts";

/** A balancer that forgets a connection: what is open stays open on both sides, and nothing passes any more. */
async function startForgetful(t: TestContext, port: number) {
  const carried: [Socket, Socket][] = [];
  const balancer = createServer((down) => {
    const up = connect(port, "127.0.0.1");
    for (const socket of [down, up]) socket.on("error", () => undefined);
    down.pipe(up).pipe(down);
    carried.push([down, up]);
  });
  balancer.listen(0, "127.0.0.1");
  await new Promise((resolve) => balancer.once("listening", resolve));
  t.after(() => {
    for (const socket of carried.flat()) socket.destroy();
    balancer.close();
  });
  return {
    url: `https://localhost:${(balancer.address() as AddressInfo).port}`,
    forget: () => {
      for (const [down, up] of carried) {
        down.unpipe(up);
        up.unpipe(down);
        // Read and thrown away, so that neither side notices by a full buffer.
        down.resume();
        up.resume();
      }
      return carried.length;
    },
  };
}

test("a connection that is half open is found out by the server's silence, and the agent comes back over a new one", async (t) => {
  const fleet = await startAgentFleet(t);
  const who = await enrolled(t, fleet);
  const balancer = await startForgetful(t, fleet.at.server.port);
  const { states } = linked(t, who, {
    endpoint: () => ({ ...endpointOf(who.identity), url: balancer.url }),
    transport: "stream",
    silenceMs: 5_000,
  });
  await until("it is connected", () => states.at(-1)?.connected === true);
  assert.ok(balancer.forget() >= 1);
  await until("it finds the silence", () => states.some(({ connected }) => !connected));
  assert.match(states.find(({ connected }) => !connected)?.because ?? "", /did not say anything for 5 s/);
  await until("it is back", () => states.at(-1)?.connected === true);
});

/** A proxy that takes HTTP/2 and HTTP/1.1, and hands over an answer when all of it has come: a stream never has. */
async function startBuffering(t: TestContext, fleet: AgentFleet, { privateKey, certificateChain }: Identity) {
  const { ca } = fleet.at.state;
  const leaf = await issueServerCertificate({ ca, names: ["localhost"], now: new Date() });
  const upstream = {
    ca: fleet.at.ca,
    key: privateKey,
    cert: certificateChain,
    servername: "localhost",
  };
  const session = connectHttp2(fleet.at.baseUrl, upstream);
  session.on("error", () => undefined);
  const proxy = createSecureServer({
    cert: certificateToPem(leaf.certificate),
    key: leaf.privateKey,
    allowHTTP1: true,
  });
  const overHttp2 = (down: Http2ServerRequest, answer: Http2ServerResponse) => {
    const headers = Object.fromEntries(
      Object.entries(down.headers).filter(([name]) => name !== ":authority"),
    );
    const up = session.request(headers);
    up.on("error", () => undefined);
    down.on("aborted", () => up.close(constants.NGHTTP2_CANCEL));
    down.pipe(up);
    up.once("response", (head) => {
      void buffer(up).then(
        (body) => {
          const { [constants.HTTP2_HEADER_STATUS]: status = 502, ...rest } = head;
          answer.writeHead(Number(status), rest as Record<string, string>).end(body);
        },
        () => answer.end(),
      );
    });
  };
  const overHttp1 = (down: Http2ServerRequest, answer: Http2ServerResponse) => {
    const { method, url: path, headers } = down;
    const up = requestHttps(
      { ...upstream, port: fleet.at.server.port, method, path, headers },
      (response) => {
        void buffer(response).then(
          (body) => {
            answer
              .writeHead(response.statusCode ?? 502, response.headers as Record<string, string>)
              .end(body);
          },
          () => answer.end(),
        );
      },
    );
    up.on("error", () => answer.end());
    down.pipe(up);
  };
  proxy.on("request", (down, answer) => {
    (down.httpVersion === "2.0" ? overHttp2 : overHttp1)(down, answer);
  });
  proxy.on("sessionError", () => undefined);
  proxy.listen(0, "127.0.0.1");
  await new Promise((resolve) => proxy.once("listening", resolve));
  t.after(() => {
    session.destroy();
    proxy.close();
  });
  return `https://localhost:${(proxy.address() as AddressInfo).port}`;
}

test("behind a proxy that holds answers back until they end, the link falls back to long poll by itself", async (t) => {
  const fleet = await startAgentFleet(t);
  const who = await enrolled(t, fleet);
  const url = await startBuffering(t, fleet, who.identity);
  const { states, raise } = linked(t, who, {
    endpoint: () => ({ ...endpointOf(who.identity), url }),
    silenceMs: 2_000,
  });
  await until("it speaks by long poll", () => states.at(-1)?.connected === true);
  assert.deepEqual(
    [...new Set(states.filter(({ connected }) => connected).map((s) => s.transport))],
    ["long-poll"],
  );
  await shown(fleet, "long-poll");
  raise("test/by-long-poll");
  await until("its news have come", async () =>
    (await fleet.agent())?.conditions.some(({ code }) => code === "test/by-long-poll"),
  );
});
