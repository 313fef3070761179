import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:https";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { connect, type ConnectionOptions } from "node:tls";

import { toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { AuditService, ListAuditResponseSchema } from "#proto/fleet/v1/audit";
import { ClusterService, ListClustersResponseSchema } from "#proto/fleet/v1/cluster";
import {
  ListApiTokensResponseSchema,
  ListJoinTokensResponseSchema,
  TokenService,
} from "#proto/fleet/v1/token";
import { sql } from "../../server/store/drizzle.ts";
import { pino, stdSerializers } from "pino";

import { enrollAgent, publishRoot, startTestServer, type TestServer } from "../../server/testing.ts";

async function refused(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

/** Every row of every table, as text. */
async function dump({ db }: TestServer): Promise<string> {
  const { rows } = await db.execute<{ name: string }>(
    sql`select format('%I.%I', schemaname, tablename) as name from pg_tables
        where schemaname not in ('pg_catalog', 'information_schema')`,
  );
  const parts: string[] = [];
  for (const { name } of rows) {
    const found = await db.execute<{ row: string }>(sql.raw(`select t::text as row from ${name} t`));
    parts.push(...found.rows.map(({ row }) => `${name} ${row}`));
  }
  return parts.join("\n");
}

async function metrics({ baseUrl, ca }: TestServer): Promise<string> {
  const [response] = (await once(get(`${baseUrl}/metrics`, { ca, agent: false }), "response")) as [
    IncomingMessage,
  ];
  return text(response);
}

/** How a secret may be written down: as it is, and as the bytes of a row are shown. */
const formsOf = (secret: string) => [
  secret,
  Buffer.from(secret).toString("hex"),
  Buffer.from(secret, "base64url").toString("hex"),
];

test("a secret that was handed out once is nowhere afterwards: no row, no line of the log, no answer, no metric", async (t) => {
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line) };
  const log = pino({ level: "trace", serializers: { err: stdSerializers.err } }, sink);
  const at = await startTestServer(t, { log });
  await publishRoot(at);
  const tokens = await at.client(TokenService);
  const made = await tokens.createApiToken({ name: "canary", role: "viewer" });
  const { joinString, token } = await tokens.createJoinToken({ labels: { region: "eu" } });
  const joining = joinString.slice("falconry://".length, joinString.indexOf("@"));
  const [api, join] = [made.secret, joining].map((each) => each.slice(each.indexOf(".") + 1));
  assert.ok(api !== undefined && join !== undefined && api.length >= 16 && join.length >= 16);

  // Used as meant, used up, mistyped, and pasted where something else is asked for.
  await at.bearing(ClusterService, made.secret).listClusters({});
  const { response } = await enrollAgent(at, joinString);
  const said = [
    await refused(enrollAgent(at, joinString, { clusterName: "eu-2", clusterUid: "uid-eu-2" })),
    await refused(at.bearing(ClusterService, `${made.secret}x`).listClusters({})),
    await refused(at.bearing(ClusterService, joining).listClusters({})),
    await refused(tokens.revokeApiToken({ id: made.secret })),
    await refused(tokens.revokeJoinToken({ id: joining })),
    toJsonString(ListApiTokensResponseSchema, await tokens.listApiTokens({})),
    toJsonString(ListJoinTokensResponseSchema, await tokens.listJoinTokens({})),
    toJsonString(
      ListAuditResponseSchema,
      await (await at.client(AuditService)).listAudit({ pageSize: 1000 }),
    ),
    toJsonString(ListClustersResponseSchema, await (await at.client(ClusterService)).listClusters({})),
  ];
  const places = {
    rows: await dump(at),
    log: lines.join(""),
    answers: said.join("\n"),
    metrics: await metrics(at),
  };

  // That one looks where something is: the tokens' names are in the rows and in the answers, calls in the log and the metrics.
  for (const id of [made.token?.id ?? "-", token?.id ?? "-", response.agentId]) {
    assert.ok(places.rows.includes(id), `no row holds ${id}`);
  }
  assert.ok(places.answers.includes(made.token?.id ?? "-"));
  assert.match(places.log, /CreateJoinToken/);
  assert.match(places.metrics, /CreateJoinToken/);
  const forms: readonly string[] = [api, join].flatMap(formsOf);
  for (const [place, words] of Object.entries(places)) {
    const told = words.split("\n").filter((line) => forms.some((form) => line.includes(form)));
    assert.deepEqual(told, [], `a secret is in the ${place}`);
  }
});

/** The version that a client and the server agree on; the code of the alert or error when they do not. */
async function agreed({ server, ca }: TestServer, options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: "localhost", port: server.port, ca, ALPNProtocols: ["h2"], ...options });
  try {
    await once(socket, "secureConnect");
    return socket.getProtocol() ?? "none";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    socket.destroy();
  }
}

test("a peer that speaks no TLS newer than 1.1 is turned away", async (t) => {
  const at = await startTestServer(t);
  assert.equal(await agreed(at, {}), "TLSv1.3");
  assert.equal(await agreed(at, { maxVersion: "TLSv1.2" }), "TLSv1.2");
  for (const version of ["TLSv1.1", "TLSv1"] as const) {
    // With the ciphers of then, so that it is the server who refuses.
    const old = { minVersion: "TLSv1", maxVersion: version, ciphers: "ALL@SECLEVEL=0" } as const;
    assert.match(await agreed(at, old), /ALERT_PROTOCOL_VERSION/, version);
  }
});
