import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import { SMTPServer } from "smtp-server";

import { fakeTls, type FakeTls } from "../../test/support/fake-tls.ts";
import { parseNetwork, type Network } from "../domain/network.ts";
import type { Reach } from "./resolve.ts";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A webhook on loopback with TLS, which answers as it is told. */
export interface Hook {
  readonly url: string;
  readonly port: number;
  readonly tls: FakeTls;
  readonly received: Received[];
  /** How it answers from now on. */
  answer: (response: ServerResponse, request: Received) => void;
}

export async function startHook(t: TestContext): Promise<Hook> {
  const tls = await fakeTls();
  const received: Received[] = [];
  const server: Server = createServer({ key: tls.key, cert: tls.chain }, (request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString("utf8");
      const one = { path: request.url ?? "", headers: request.headers, body };
      received.push(one);
      hook.answer(response, one);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const url = `https://localhost:${port}/hook`;
  const answer: Hook["answer"] = (response) => response.end("ok");
  const hook: Hook = { url, port, tls, received, answer };
  return hook;
}

/** Mails that a relay on loopback took, as they came. */
export interface MailSink {
  readonly port: number;
  readonly tls: FakeTls;
  readonly mails: readonly string[];
  /** Recipients that it takes nothing for. */
  readonly refused: Set<string>;
}

/** A relay that wants STARTTLS, and the user "falconry" with the password "s3cret". */
export async function startMailSink(t: TestContext): Promise<MailSink> {
  const tls = await fakeTls();
  const mails: string[] = [];
  const refused = new Set<string>();
  const server = new SMTPServer({
    key: tls.key,
    cert: tls.chain,
    authMethods: ["PLAIN"],
    onAuth: ({ username, password }, _session, done) => {
      const isGood = username === "falconry" && password === "s3cret";
      done(isGood ? null : new Error("no such user"), isGood ? { user: username } : undefined);
    },
    onRcptTo: ({ address }, _session, done) => {
      done(refused.has(address) ? Object.assign(new Error("no such mailbox"), { responseCode: 550 }) : null);
    },
    onData: (stream, _session, done) => {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        mails.push(Buffer.concat(parts).toString("utf8"));
        done();
      });
    },
  });
  // A client that refuses our certificate is an error to it.
  server.on("error", () => {});
  const listening = server.listen(0, "127.0.0.1");
  await once(listening, "listening");
  t.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port: (listening.address() as AddressInfo).port, tls, mails, refused };
}

/** What an operator allows who sends to this machine. */
export function reachOf(tls: FakeTls | undefined, more: Partial<Reach> = {}): Reach {
  const opened = [parseNetwork("127.0.0.0/8") as Network];
  // The name "localhost" is loopback in both families; the fakes listen on one.
  const lookup = (host: string) => Promise.resolve([host === "localhost" ? "127.0.0.1" : host]);
  return { opened, ca: tls === undefined ? [] : [tls.ca], lookup, timeoutMs: 5_000, ...more };
}
