import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { connect as connectHttp2 } from "node:http2";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls, type PeerCertificate } from "node:tls";
import { gzipSync } from "node:zlib";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { credentials, makeClientConstructor, Metadata, type ServiceError } from "@grpc/grpc-js";
import {
  ClusterService,
  ListClustersRequestSchema,
  ListClustersResponseSchema,
  type ListClustersResponse,
} from "#proto/fleet/v1/cluster";

import { startTestServer, type TestServer } from "./testing.ts";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Plain HTTPS/1.1, as curl speaks it. */
function send(
  at: TestServer,
  path: string,
  body?: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ ca: at.ca, keepAlive: false });
    const method = body === undefined ? "GET" : "POST";
    const sent = httpsRequest(`${at.baseUrl}${path}`, { method, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const listPath = "/fleet.v1.ClusterService/ListClusters";
const json = { "content-type": "application/json" };

test("curl can call: Connect with JSON over HTTP/1.1", async (t) => {
  const at = await startTestServer(t);
  const answer = await send(at, listPath, "{}", {
    ...json,
    authorization: `Bearer ${await at.token("viewer")}`,
  });
  assert.deepEqual([answer.status, JSON.parse(answer.text)], [200, {}]);
});

test("a plain gRPC client can call the same port, and sees codes and words of refusals", async (t) => {
  const at = await startTestServer(t);
  const method = {
    path: listPath,
    requestStream: false,
    responseStream: false,
    requestSerialize: (value: object) =>
      Buffer.from(toBinary(ListClustersRequestSchema, create(ListClustersRequestSchema, value))),
    requestDeserialize: (bytes: Buffer) => fromBinary(ListClustersRequestSchema, bytes),
    responseSerialize: (value: ListClustersResponse) =>
      Buffer.from(toBinary(ListClustersResponseSchema, value)),
    responseDeserialize: (bytes: Buffer) => fromBinary(ListClustersResponseSchema, bytes),
  };
  const Client = makeClientConstructor({ list: method }, "fleet.v1.ClusterService");
  const client = new Client(`localhost:${at.server.port}`, credentials.createSsl(Buffer.from(at.ca)));
  t.after(() => client.close());
  const call = (metadata: Metadata) =>
    new Promise<ListClustersResponse>((resolve, reject) => {
      const list = client["list"] as unknown as (
        request: object,
        metadata: Metadata,
        done: (error: ServiceError | null, response: ListClustersResponse) => void,
      ) => void;
      list.call(client, {}, metadata, (error, response) => {
        if (error === null) resolve(response);
        else reject(error);
      });
    });
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${await at.token("viewer")}`);
  assert.equal((await call(metadata)).totalSize, 0);
  await assert.rejects(call(new Metadata()), /16 UNAUTHENTICATED: No credentials were given/);
});

test("gRPC and gRPC-Web of the Connect library work on the same port", async (t) => {
  const at = await startTestServer(t);
  const headers = { authorization: `Bearer ${await at.token("viewer")}` };
  const options = { baseUrl: at.baseUrl, nodeOptions: { ca: at.ca }, idleConnectionTimeoutMs: 500 };
  for (const transport of [
    createGrpcTransport(options),
    createGrpcWebTransport({ ...options, httpVersion: "1.1" }),
    createGrpcWebTransport({ ...options, httpVersion: "2" }),
  ]) {
    const answer = await createClient(ClusterService, transport).listClusters({}, { headers });
    assert.equal(answer.totalSize, 0);
  }
});

test("what is wrong with a token is said: missing, malformed, unknown, wrong, expired, revoked, too weak", async (t) => {
  const at = await startTestServer(t);
  const good = await at.token("viewer");
  const [id = ""] = good.split(".");
  const refusal = async (authorization: string | undefined, path: string = listPath) => {
    const answer = await send(
      at,
      path,
      "{}",
      authorization === undefined ? json : { ...json, authorization },
    );
    const { code, message } = JSON.parse(answer.text) as { code: string; message: string };
    return `${answer.status} ${code}: ${message}`;
  };
  assert.match(await refusal(undefined), /^401 unauthenticated: No credentials were given/);
  assert.match(
    await refusal("Basic eDp5"),
    /^401 unauthenticated: The Authorization header holds no API token/,
  );
  assert.match(
    await refusal(`Bearer at_0000.${"x".repeat(43)}`),
    /^401 .*not known here, or its secret is wrong/,
  );
  assert.match(
    await refusal(`Bearer ${id}.${"x".repeat(43)}`),
    /^401 .*not known here, or its secret is wrong/,
  );
  assert.match(
    await refusal(`Bearer ${good}`, "/fleet.v1.ClusterService/RetireCluster"),
    /^403 permission_denied: The API token "test viewer" has role viewer; this call takes an API token with role operator/,
  );
  await at.db.$client.query("update api_tokens set expires_at = now() - interval '5 minutes' where id = $1", [
    id,
  ]);
  assert.match(await refusal(`Bearer ${good}`), /^401 .*"test viewer" expired 5 min ago/);
  await at.db.$client.query("update api_tokens set revoked_at = now() where id = $1", [id]);
  assert.match(await refusal(`Bearer ${good}`), /^401 .*"test viewer" was revoked/);
});

test("bad input is never Internal: no JSON, wrong types, too large, a bomb, an unknown method", async (t) => {
  const at = await startTestServer(t);
  const authorization = `Bearer ${await at.token("viewer")}`;
  const code = async (body: string | Buffer, headers: Record<string, string> = {}) => {
    const answer = await send(at, listPath, body, { ...json, authorization, ...headers });
    return answer.text.startsWith("{")
      ? (JSON.parse(answer.text) as { code: string }).code
      : String(answer.status);
  };
  assert.equal(await code("{nonsense"), "invalid_argument");
  assert.equal(await code('{"pageSize":"many"}'), "invalid_argument");
  assert.equal(
    await code('{"selector":{"requirements":[{"key":"","operator":"OPERATOR_IN"}]}}'),
    "invalid_argument",
  );
  assert.equal(await code('{"pageToken":"forged"}'), "invalid_argument");
  assert.equal(await code(`{"pageToken":"${"x".repeat(1_100_000)}"}`), "resource_exhausted");
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, " "));
  assert.equal(await code(bomb, { "content-encoding": "gzip" }), "resource_exhausted");
  assert.equal(await code("{}", { "content-encoding": "br" }), "unimplemented");
  assert.equal((await send(at, "/fleet.v1.ClusterService/Nothing", "{}", json)).status, 404);
});

test("a stranger is turned away before the body is read", async (t) => {
  const at = await startTestServer(t);
  const session = connectHttp2(at.baseUrl, { ca: at.ca });
  t.after(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": "/fleet.v1.BundleService/PushBundles",
    ...json,
  });
  // Never ended: only a server that does not wait for the body can answer.
  stream.write('{"bundles":["');
  const status = await new Promise((resolve, reject) => {
    stream.on("response", (headers) => {
      resolve(headers[":status"]);
    });
    stream.on("error", reject);
    stream.setTimeout(5_000, () => {
      reject(new Error("no answer"));
    });
  });
  assert.equal(status, 401);
});

test("health, readiness and metrics answer without credentials; metrics count calls by code", async (t) => {
  const at = await startTestServer(t);
  assert.deepEqual(await send(at, "/healthz").then(({ status, text }) => [status, text]), [200, "ok\n"]);
  assert.deepEqual(await send(at, "/readyz").then(({ status, text }) => [status, text]), [200, "ready\n"]);
  await (await at.client(ClusterService)).listClusters({});
  await send(at, listPath, "{}", json);
  const { text } = await send(at, "/metrics");
  const counted = (code: string) =>
    `falconry_rpc_requests_total{service="fleet.v1.ClusterService",method="ListClusters",code="${code}"} 1`;
  assert.ok(text.includes(counted("ok")), text);
  assert.ok(text.includes(counted("unauthenticated")));
  assert.match(text, /falconry_database_connections \d/);
  assert.match(text, /nodejs_eventloop_lag_p99_seconds/);
  assert.match(text, /falconry_loop_activations\{loop="metadata"\} [1-9]/);
});

test("a server whose database is not migrated says so instead of ready", async (t) => {
  const at = await startTestServer(t);
  await at.db.$client.query("delete from drizzle.__drizzle_migrations");
  const answer = await send(at, "/readyz");
  assert.equal(answer.status, 503);
  assert.match(answer.text, /not migrated yet: 0001_fleet/);
});

const fleet = 900;
/** What the system lets any process have; another system than Linux keeps it elsewhere. */
const lineMax = (() => {
  try {
    return Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8"));
  } catch {
    return 0;
  }
})();

test(
  "a fleet that comes while the server is busy waits in line, and none of it is dropped to try again later and later",
  { skip: lineMax <= fleet },
  async (t) => {
    const at = await startTestServer(t);
    const program = `
      let open = 0;
      for (let i = 0; i < ${fleet}; i += 1) {
        require("node:net").connect(${new URL(at.baseUrl).port}, "localhost", () => (open += 1) === ${fleet} && process.exit(0));
      }
      setTimeout(() => process.exit(1), 20_000);`;
    // This process, in which the server is, takes nobody in until the other one has ended.
    assert.equal(spawnSync(process.execPath, ["--eval", program]).status, 0);
  },
);

test("a taken port is one clear sentence", async (t) => {
  const at = await startTestServer(t);
  await assert.rejects(
    startTestServer(t, { beside: at, env: { FALCONRY_LISTEN: `127.0.0.1:${at.server.port}` } }),
    {
      name: "Failure",
      exitCode: 3,
      message: /^Port 127\.0\.0\.1:\d+ is taken by another process: stop it, or set FALCONRY_LISTEN/,
    },
  );
});

test("the server sends its CA along, so that agents can pin it, and renews its certificate while it runs", async (t) => {
  const at = await startTestServer(t, { env: { FALCONRY_SERVER_CERTIFICATE_TTL: "2s" } });
  const look = () =>
    new Promise<PeerCertificate & { issuerCertificate?: PeerCertificate }>((resolve, reject) => {
      // Its time is not looked at: on a busy machine one that lives for two seconds is over before it was read.
      const socket = connectTls(
        { host: "localhost", port: at.server.port, rejectUnauthorized: false, servername: "localhost" },
        () => {
          const certificate = socket.getPeerCertificate(true);
          socket.destroy();
          resolve(certificate);
        },
      );
      socket.on("error", reject);
    });
  const first = await look();
  assert.equal(first.issuerCertificate?.subject.CN, "Falconry CA");
  const deadline = performance.now() + 20_000;
  let serial = first.serialNumber;
  while (serial === first.serialNumber && performance.now() < deadline) {
    serial = (await look()).serialNumber;
    await delay(50);
  }
  assert.notEqual(serial, first.serialNumber);
});
