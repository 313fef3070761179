import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";

import { WebSocket } from "ws";

import { parseScope } from "../../domain/scope.ts";
import { apiTokens } from "../../store/schema.ts";
import { startTestServer, type TestServer } from "../../testing.ts";
import { morning, storeClusters, storeSeen } from "./fixture.ts";
import { firstBytes } from "./tail.ts";

function tail(t: TestContext, at: TestServer, query: string, token: string, more: string = ""): WebSocket {
  const url = `${at.baseUrl.replace("https", "wss")}/loki/api/v1/tail?query=${encodeURIComponent(query)}${more}`;
  const web = new WebSocket(url, { ca: at.ca, headers: { authorization: `Bearer ${token}` } });
  t.after(() => web.terminate());
  return web;
}

/** The users in the lines of the next message. */
async function nextUsers(web: WebSocket): Promise<readonly string[]> {
  const [data] = (await once(web, "message")) as [Buffer];
  const { streams } = JSON.parse(String(data)) as {
    streams: readonly { readonly values: readonly (readonly [string, string])[] }[];
  };
  const lines = streams.flatMap(({ values }) => values.map(([, line]) => line));
  return lines.map((line) => / by (\w+)/.exec(line)?.[1] ?? "");
}

async function refusal(web: WebSocket): Promise<string> {
  const [error] = (await once(web, "error")) as [Error];
  return error.message;
}

/** A peer that is refused and keeps its end open hears, as soon as it writes again, that there is nobody any more. */
async function refusedAndCut(at: TestServer): Promise<void> {
  const halfOpen = { allowHalfOpen: true };
  const socket = connect({ port: at.server.port, host: "localhost", ca: at.ca, ...halfOpen });
  let text = "";
  const broken = new Promise((resolve) => socket.once("error", resolve));
  socket.setEncoding("utf8").on("data", (part: string) => (text += part));
  const upgrade = "connection: upgrade\r\nupgrade: websocket";
  socket.write(`GET /loki/api/v1/tail HTTP/1.1\r\nhost: localhost\r\n${upgrade}\r\n\r\n`);
  await once(socket, "end");
  assert.match(text, /^HTTP\/1\.1 401 /);
  const more = setInterval(() => socket.write("x"), 50);
  const isBroken = await Promise.race([broken.then(() => true), delay(4_000, false)]);
  clearInterval(more);
  socket.destroy();
  assert.ok(isBroken, "the server keeps the connection");
}

test("a live tail begins with what was, goes on with what arrives, and ends with the token", async (t) => {
  const at = await startTestServer(t);
  await storeClusters(at.db);
  await storeSeen(at.db, morning);
  const scope = parseScope("scope", [{ key: "team", operator: "in", values: ["pay"] }]);
  assert.ok(scope.ok);
  const token = await at.token("viewer", scope.value);
  const web = tail(t, at, '{rule="Exec into pod"} | json | output_fields_ka_user_name!="eve"', token);
  assert.deepEqual(await nextUsers(web), ["alice", "bob"]);

  const late = { rule: "Exec into pod", priority: "Warning", seconds: -30 };
  const arrived = nextUsers(web);
  await storeSeen(
    at.db,
    [
      { ...late, cluster: "eu-1", user: "eve" },
      { ...late, cluster: "eu-2", user: "other" },
      { ...late, cluster: "us-1", user: "dave" },
    ],
    100,
  );
  assert.deepEqual(await arrived, ["dave"]);

  const closed = once(web, "close");
  await at.db.update(apiTokens).set({ revokedAt: new Date() });
  const [code, reason] = (await closed) as [number, Buffer];
  assert.equal(code, 1011);
  assert.match(String(reason), /revoked/);
});

test("a tail that may not be, or of what is no log, is refused before it begins; one that is there ends with the server", async (t) => {
  const at = await startTestServer(t);
  await storeClusters(at.db);
  const token = await at.token("viewer");
  assert.match(await refusal(tail(t, at, '{source="falco"}', `${token}x`)), /401/);
  assert.match(await refusal(tail(t, at, 'rate({source="falco"}[1m])', token)), /400/);
  assert.match(await refusal(tail(t, at, '{source="falco"', token)), /400/);
  assert.match(await refusal(tail(t, at, '{source="falco"}', token, "&delay_for=9")), /400/);
  const elsewhere = new WebSocket(`${at.baseUrl.replace("https", "wss")}/healthz`, {
    ca: at.ca,
    headers: { authorization: `Bearer ${token}` },
  });
  assert.match(await refusal(elsewhere), /400/);

  await refusedAndCut(at);

  const web = tail(t, at, '{source="falco"}', token);
  await once(web, "open");
  const closed = once(web, "close");
  await at.server.stop();
  const [code] = (await closed) as [number];
  assert.equal(code, 1001);
});

test("what a close says is cut between letters, however many bytes they have", () => {
  const texts = ["a".repeat(200), "\u{20AC}".repeat(100), "\u{1F600}".repeat(50)];
  for (const text of texts) {
    const cut = firstBytes(text, 123);
    assert.ok(text.startsWith(cut) && Buffer.byteLength(cut) > 119 && Buffer.byteLength(cut) <= 123);
  }
  assert.equal(firstBytes("short", 123), "short");
});
