import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { AuthService } from "#proto/fleet/v1/auth";
import { pino } from "pino";

import { createConsole, type Console } from "./console.ts";
import type { Request, Response } from "./rpc/adapter.ts";
import { startTestServer, type TestServer } from "./testing.ts";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** A request and a response as far as files need them. */
function ask(
  console: Console,
  path: string,
  headers: object = {},
  method: string = "GET",
): Answer | undefined {
  let answer = { status: 0, headers: {}, body: "" };
  const response = {
    writeHead(status: number, head: object) {
      answer = { ...answer, status, headers: head };
      return response;
    },
    end(body: unknown = "") {
      answer = { ...answer, body: String(body) };
    },
  };
  const isAnswered = console.answer(path, { method, headers } as Request, response as unknown as Response);
  return isAnswered ? answer : undefined;
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "falconry-console-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("a console that is not built says how to build it, and is served as soon as it is", (t) => {
  const dir = folder(t);
  const console = createConsole(join(dir, "dist"));
  const before = ask(console, "/clusters/eu-1");
  assert.equal(before?.status, 503);
  assert.match(before?.body ?? "", /npm run console/);

  mkdirSync(join(dir, "dist", "assets"), { recursive: true });
  writeFileSync(join(dir, "dist", "index.html"), "<!doctype html>");
  writeFileSync(join(dir, "dist", "assets", "main-abc.js"), "1");
  writeFileSync(join(dir, "dist", "notes.txt"), "secret");
  const page = ask(console, "/clusters/eu-1");
  assert.equal(page?.body, "<!doctype html>");
  assert.equal(page?.headers["cache-control"], "no-cache");
  const script = ask(console, "/assets/main-abc.js");
  assert.match(String(script?.headers["cache-control"]), /immutable/);
  assert.equal(ask(console, "/", { "if-none-match": page?.headers["etag"] })?.status, 304);
});

test("nothing but the console's files and pages is handed out", (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, "index.html"), "page");
  writeFileSync(join(dir, "notes.txt"), "secret");
  const console = createConsole(dir);
  for (const path of [
    "/notes.txt",
    "/../notes.txt",
    "/assets/none.js",
    "/fleet.v1.AuthService/WhoAmI",
    "/a/b/c",
  ]) {
    assert.equal(ask(console, path), undefined, path);
  }
  assert.equal(ask(console, "/", {}, "POST"), undefined);
});

test("every file comes under a policy that allows nothing inline, nothing of others, and no frame", (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, "index.html"), "page");
  const headers: Answer["headers"] = ask(createConsole(dir), "/")?.headers ?? {};
  const policy = String(headers["content-security-policy"]);
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy.includes(part), part);
  }
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["referrer-policy"], "no-referrer");
});

test("an answer to a browser that signs in that cannot be written ends its connection, not the server", async (t) => {
  const step = () => Promise.resolve({ location: "/clusters/\u65e5", cookies: [] });
  const log = pino({ level: "silent" });
  const console = createConsole(folder(t), { browser: { begin: step, end: step }, log });
  const server = createServer((request, response) => {
    console.answer(request.url?.split("?", 1)[0] ?? "", request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await assert.rejects(fetch(`http://127.0.0.1:${port}/console/login`), TypeError);
});

/** A call as a browser makes it: JSON over HTTP/1.1 with headers that scripts set, or that browsers do. */
function call(at: TestServer, method: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = request(`${at.baseUrl}/fleet.v1.AuthService/${method}`, {
    ca: at.ca,
    method: "POST",
    agent: false,
    headers: { "content-type": "application/json", ...headers },
  });
  sent.on("error", reject);
  sent.on("response", (response) => {
    let body = "";
    response.setEncoding("utf8").on("data", (text: string) => (body += text));
    response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
  });
  sent.end("{}");
  return promise;
}

test("a browser keeps a token in a cookie that counts for the console's own calls alone", async (t) => {
  const at = await startTestServer(t);
  const token = await at.token("viewer");
  const console = { "x-falconry-console": "8443" };
  const started = await call(at, "StartBrowserSession", { ...console, authorization: `Bearer ${token}` });
  assert.equal(started.status, 200, started.body);
  const [set = ""] = started.headers["set-cookie"] as string[];
  assert.match(
    set,
    /^__Host-falconry-8443=at_[^;]+; Max-Age=\d+; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
  );
  assert.ok(!started.body.includes(token), "no script gets to see it again");

  const cookie = set.split(";", 1)[0] ?? "";
  const who = (headers: Readonly<Record<string, string>>) => call(at, "WhoAmI", { cookie, ...headers });
  assert.equal((await who(console)).status, 200);
  assert.equal((await who({})).status, 401, "a form of another page sends the cookie, and not the header");
  assert.equal((await who({ ...console, "sec-fetch-site": "same-site" })).status, 401, "a neighbour's page");
  assert.equal((await who({ ...console, "sec-fetch-site": "same-origin" })).status, 200);
  assert.equal((await who({ "x-falconry-console": "9443" })).status, 401, "the cookie of another fleet");

  const ended = await call(at, "EndBrowserSession", console);
  assert.match(String(ended.headers["set-cookie"]), /^__Host-falconry-8443=; Max-Age=0; /);
});

test("there is nothing to keep of a call that came by cookie or without a port", async (t) => {
  const at = await startTestServer(t);
  const viewer = await at.client(AuthService, "viewer");
  await assert.rejects(
    viewer.startBrowserSession({}),
    (error) => ConnectError.from(error).code === Code.InvalidArgument,
  );
  const cookie = `__Host-falconry-8443=${await at.token("viewer")}`;
  const again = await call(at, "StartBrowserSession", { cookie, "x-falconry-console": "8443" });
  assert.match(again.body, /failed_precondition/);
});
