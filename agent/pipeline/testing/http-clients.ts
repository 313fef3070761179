import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { HttpClient } from "../http-client.ts";
import type { HttpAnswer, HttpRequest, NoAnswer } from "../http-client.ts";
import type { Answer, Arrived } from "./fault-server.ts";
import { onlyOutput } from "./outputs.ts";

/** A client for loopback with more options; it may use secrets below `secrets`. */
export function open(t: TestContext, port: number, more = "", secrets = "/"): HttpClient {
  const output = onlyOutput(
    `[OUTPUT]\n Name http\n Match *\n Format json\n Host 127.0.0.1\n Port ${port}\n${more}`,
  );
  assert.ok(output.plugin === "http");
  const client = new HttpClient(output, (file) => file.startsWith(secrets));
  t.after(() => client.close());
  return client;
}

/** A small request in two pieces. */
export const hello: HttpRequest = {
  method: "POST",
  path: "/in?x=1",
  headers: { "content-type": "application/json" },
  body: [Buffer.from("[1,"), Buffer.from("2]\n")],
  answerBytesMax: 1000,
};

export function send(client: HttpClient, request: Partial<HttpRequest> = {}): Promise<HttpAnswer | NoAnswer> {
  return client.send({ ...hello, ...request }, new AbortController().signal);
}

/** Says how much arrived. */
export function okay({ body }: Arrived): Answer {
  return { status: 200, body: `got ${body.length}` };
}
