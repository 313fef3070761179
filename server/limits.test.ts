import assert from "node:assert/strict";
import { request as httpsRequest } from "node:https";
import { test } from "node:test";

import { ConnectError } from "@connectrpc/connect";

import { openLink } from "../test/support/sim-link.ts";
import { newSimSession, newSimState } from "../test/support/sim-agent.ts";
import { startTestFleet } from "./rpc/agent-service/fixture.ts";
import { startTestServer, type TestServer } from "./testing.ts";

/** One call, and then one in many seconds. */
const env = { FALCONRY_CALL_RATE_PERCENT: "1" };

test("curl that calls too often gets 429 with Retry-After, and the metric says which limit it met", async (t) => {
  const at = await startTestServer(t, { env });
  const token = await at.token("viewer");
  for (let i = 0; i < 3; i += 1) assert.equal((await list(at, token)).status, 200);
  const refused = await list(at, token);
  assert.equal(refused.status, 429);
  assert.match(refused.retryAfter ?? "", /^[1-9]\d*$/);
  assert.match(
    refused.text,
    /"code":"resource_exhausted".*may make 3 such calls at once.*try again in \d+ s/,
  );
  assert.match(
    (await get(at, "/metrics")).text,
    /falconry_refused_total\{what="call",reason="caller-rate"\} 1/,
  );
});

test("an agent that comes back too often hears when to, also where a refusal travels in a stream", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const identity = await fleet.enrol("eu-1");
  const beside = await startTestServer(t, { beside: fleet.at, env });
  const again = { ...identity, baseUrl: beside.baseUrl };
  const connect = async () => {
    const link = openLink("stream", again);
    try {
      await link.say(newSimSession(again, "stream", newSimState(again)).message());
      return undefined;
    } catch (error) {
      return error;
    } finally {
      await link.close();
    }
  };
  assert.equal(await connect(), undefined);
  const error = await connect();
  assert.ok(error instanceof ConnectError);
  assert.match(error.rawMessage, /^The agent \S+ may make 1 such calls at once/);
  assert.match(error.metadata.get("retry-after") ?? "", /^[1-9]\d*$/);
});

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

function list(at: TestServer, token: string): Promise<Answer> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  return send(at, "/fleet.v1.ClusterService/ListClusters", { method: "POST", headers }, "{}");
}

function get(at: TestServer, path: string): Promise<Answer> {
  return send(at, path, {});
}

function send(at: TestServer, path: string, options: object, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(`${at.baseUrl}${path}`, { ca: at.ca, agent: false, ...options }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], text });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
