import assert from "node:assert/strict";
import { once } from "node:events";
import {
  connect,
  constants,
  createServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";

import { create, toBinary } from "@bufbuild/protobuf";
import { createContextValues, type Interceptor } from "@connectrpc/connect";
import { pino } from "pino";
import { AgentService, FetchBlobRequestSchema } from "#proto/agent/v1/agent";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";

import { fetchBlob, type SimIdentity } from "../../test/support/sim-agent.ts";
import { openLink } from "../../test/support/sim-link.ts";
import { startTestFleet, until } from "./agent-service/fixture.ts";
import { onlyOf, plainCall, servePlain, type PlainMethod, type PlainOptions } from "./plain-call.ts";

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly rest: IncomingHttpHeaders;
  readonly body: Buffer;
}

const plain = { "content-type": "application/connect+proto" };
/** Naming a compression, be it none, makes a call that is encoded anew. */
const longWay = { ...plain, "connect-accept-encoding": "identity" };

const [talkPath, fetchPath] = ["/agent.v1.AgentService/Connect", "/agent.v1.AgentService/FetchBlob"];

interface Asked {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** The request does not end by itself. */
  readonly isOpen?: true;
}

/** One call as bytes, until both sides of it are over. */
function callOn(
  session: ClientHttp2Session,
  { path = fetchPath, headers = plain, body, isOpen }: Asked,
): Promise<Answer> {
  const done = Promise.withResolvers<Answer>();
  session.once("error", done.reject);
  const call = session.request({ ":method": "POST", ":path": path, ...headers });
  const chunks: Buffer[] = [];
  let head: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
  call.on("response", (given) => (head = given));
  call.on("data", (chunk: Buffer) => chunks.push(chunk));
  call.once("error", done.reject);
  call.once("close", () => {
    const { ":status": status = 0, "content-type": type = "", ...rest } = head;
    done.resolve({ status, type, rest, body: Buffer.concat(chunks) });
  });
  if (isOpen === true) call.write(body);
  else call.end(body);
  return done.promise;
}

/** On a connection of its own. */
function callWith({ baseUrl, ca, cert, key }: SimIdentity, asked: Asked): Promise<Answer> {
  const session = connect(baseUrl, { ca, cert, key });
  return callOn(session, asked).finally(() => session.close());
}

/** The flags of the envelopes of an answer. */
function flagsOf({ body }: Answer): number[] {
  const flags: number[] = [];
  for (let at = 0; at < body.length; at += 5 + body.readUInt32BE(at + 1)) flags.push(body.readUInt8(at));
  return flags;
}

function enveloped(message: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function request(digest: string, offset: bigint): Uint8Array {
  return toBinary(FetchBlobRequestSchema, create(FetchBlobRequestSchema, { digest, offset }));
}

test("an agent gets the same bytes from what is kept encoded as from what is encoded for it, refusals included", async (t) => {
  const fleet = await startTestFleet(t);
  const identity = await fleet.enrol("eu-1");
  const link = openLink("stream", identity);
  t.after(() => link.close());
  const [other, bundle] = fleet.bundles;
  assert.ok(other && bundle);
  const rollouts = await fleet.at.client(RolloutService);
  await rollouts.startRollout({ spec: { kind: BundleKind.RULES } });
  await until("it is assigned", () => fetchBlob(link, bundle.digest).catch(() => undefined));
  const end = BigInt(bundle.bytes.length);
  const asked = [
    [bundle.digest, 0n],
    [bundle.digest, 100n],
    [bundle.digest, end],
    [bundle.digest, end + 1n],
    [other.digest, 0n],
    ["sha256:../../etc", 0n],
  ] as const;
  for (const [digest, offset] of asked) {
    const body = enveloped(request(digest, offset));
    const [ready, anew] = [
      await callWith(identity, { body }),
      await callWith(identity, { headers: longWay, body }),
    ];
    assert.deepEqual({ ...ready, rest: {} }, { ...anew, rest: {} }, `${digest} from ${offset}`);
    assert.equal(ready.status, 200);
  }
});

test("an agent that takes gzip gets a bundle packed, and the same messages", async (t) => {
  const fleet = await startTestFleet(t);
  const identity = await fleet.enrol("eu-1");
  const [, bundle] = fleet.bundles;
  assert.ok(bundle);
  const rollouts = await fleet.at.client(RolloutService);
  await rollouts.startRollout({ spec: { kind: BundleKind.RULES } });
  const link = openLink("stream", identity);
  t.after(() => link.close());
  // The client of the general library unpacks by itself what this header and the flags of the envelopes say.
  const whole = await until("it is assigned", () => fetchBlob(link, bundle.digest).catch(() => undefined));
  assert.deepEqual(Buffer.from(whole), Buffer.from(bundle.bytes));
  const takesGzip = { ...plain, "connect-accept-encoding": "gzip" };
  const ask = (headers: Record<string, string>, offset = 0n) =>
    callWith(identity, { headers, body: enveloped(request(bundle.digest, offset)) });
  const [asIs, packedAnswer, rest] = [await ask(plain), await ask(takesGzip), await ask(takesGzip, 1n)];
  assert.deepEqual(
    [flagsOf(asIs), flagsOf(packedAnswer), flagsOf(rest)],
    [
      [0, 2],
      [1, 2],
      [0, 2],
    ],
  );
  assert.equal(asIs.rest["connect-content-encoding"], undefined);
  assert.equal(packedAnswer.rest["connect-content-encoding"], "gzip");
  const length = packedAnswer.body.readUInt32BE(1);
  const message = gunzipSync(packedAnswer.body.subarray(5, 5 + length));
  assert.ok(message.equals(asIs.body.subarray(5, 5 + asIs.body.readUInt32BE(1))));
  // What has its end in sight is told as ever: refusals are not packed.
  const refusal = await ask(takesGzip, BigInt(bundle.bytes.length) + 1n);
  assert.deepEqual(flagsOf(refusal), [2]);
  assert.match(refusal.body.toString(), /"code":"out_of_range"/);
});

/** What is none to any method. */
const broken: readonly (readonly [Uint8Array, RegExp])[] = [
  [Buffer.from([0, 0, 0, 0, 9, 1]), /"code":"invalid_argument".*one whole message/],
  [Buffer.from([0, 0, 0]), /"code":"invalid_argument".*one whole message/],
  [enveloped(Buffer.from([0xff, 0xff])), /"code":"invalid_argument".*cannot be read/],
  // Of one that says that it has 4 GiB nothing is awaited.
  [Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), /"code":"resource_exhausted".*bytes/],
];
const packed = enveloped(Buffer.alloc(10), 1);

test("calls of agents on the wire", async (parent) => {
  const fleet = await startTestFleet(parent, 1);
  const identity = await fleet.enrol("eu-1");
  const whole = enveloped(request(`sha256:${"0".repeat(64)}`, 0n));
  const refused = async (asked: Asked, words: RegExp, who = identity) => {
    const answer = await callWith(who, asked);
    assert.deepEqual([answer.status, flagsOf(answer)], [200, [2]], "the end of a stream alone");
    assert.match(answer.body.toString(), words);
  };

  for (const path of [talkPath, fetchPath]) {
    await parent.test(
      `what is no message is refused in words, while the request goes on: ${path}`,
      async () => {
        for (const [body, words] of broken) await refused({ path, body }, words);
        await refused(
          { path, body: Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), isOpen: true },
          /resource_exhausted/,
        );
        // These words are those of the short way: an agent's calls go by it, and others do not.
        const ours = /"code":"invalid_argument".*one whole message after another/;
        await refused({ path, body: packed }, ours);
        const long = await callWith(identity, { path, headers: longWay, body: packed });
        assert.match(long.body.toString(), /"code":/);
        assert.doesNotMatch(long.body.toString(), ours);
      },
    );

    await parent.test(`a stranger is refused before its request has ended: ${path}`, async () => {
      const { cert: _, key: __, ...stranger } = identity;
      await refused({ path, body: whole, isOpen: true }, /"code":"unauthenticated"/, stranger as SimIdentity);
    });
  }

  await parent.test("who sends no request or two to a fetch is refused in words", async () => {
    await refused({ body: Buffer.alloc(0) }, /"code":"unimplemented".*none came/);
    await refused({ body: Buffer.concat([whole, whole]) }, /"code":"unimplemented".*more came/);
  });

  await parent.test(
    "each message of a frame of several is answered, also when nothing more will come",
    async () => {
      const empty = enveloped(Buffer.alloc(0));
      const answer = await callWith(identity, { path: talkPath, body: Buffer.concat([empty, empty]) });
      assert.deepEqual(flagsOf(answer), [0, 0, 2]);
      assert.ok(answer.body.toString().endsWith("{}"), "the call has not failed");
      const none = await callWith(identity, { path: talkPath, body: Buffer.alloc(0) });
      assert.deepEqual(flagsOf(none), [2]);
    },
  );

  await parent.test(
    "a call that breaks off in the middle of a message leaves its connection to others",
    async (t) => {
      const { baseUrl, ca, cert, key } = identity;
      const session = connect(baseUrl, { ca, cert, key });
      t.after(() => session.close());
      for (const path of [talkPath, fetchPath]) {
        const call = session.request({ ":method": "POST", ":path": path, ...plain });
        const closed = once(call, "close");
        call.write(whole.subarray(0, 20), () => call.close(constants.NGHTTP2_CANCEL));
        await closed;
      }
      assert.deepEqual(
        flagsOf(await callOn(session, { path: talkPath, body: enveloped(Buffer.alloc(0)) })),
        [0, 2],
      );
    },
  );
});

/** A fetch that is served without a fleet, with what was logged. */
async function serveAlone(t: TestContext, options: Partial<PlainOptions>) {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const method: PlainMethod<typeof FetchBlobRequestSchema> = {
    method: AgentService.method.fetchBlob,
    frames: async function* (messages) {
      yield enveloped(Buffer.from((await onlyOf(messages)).digest));
    },
  };
  const bounds = {
    schema: FetchBlobRequestSchema,
    bytesMax: 1_000,
    partsMax: 10,
    onRefused: () => undefined,
  };
  const server = createServer((request, response) => {
    const call = plainCall(request, response, createContextValues());
    assert.ok(call);
    void servePlain(
      method,
      { requestGate: () => undefined, interceptors: [], log, ...options },
      bounds,
      call,
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(() => {
    session.destroy();
    server.close();
  });
  return { lines, ask: async () => callOn(session, { body: enveloped(request("sha256:aa", 0n)) }) };
}

test("a bug outside of the interceptors is in the log, under the reference that goes out", async (t) => {
  const fails = () => {
    throw new Error("a gate fell");
  };
  const falls: readonly Partial<PlainOptions>[] = [{ requestGate: fails }, { interceptors: [fails] }];
  for (const options of falls) {
    const { lines, ask } = await serveAlone(t, options);
    const said = (await ask()).body.toString();
    const [, reference = "none"] = /"code":"internal".* reference ([\w-]+)/.exec(said) ?? [];
    assert.doesNotMatch(said, /gate/);
    assert.equal(lines.length, 1, said);
    assert.match(lines[0] ?? "", new RegExp(`a gate fell.*${reference}`));
  }
});

test("what an interceptor makes of a request and of its answer counts, as in Connect", async (t) => {
  const other = async function* () {
    yield create(FetchBlobRequestSchema, { digest: "sha256:bb" });
  };
  const meddles: Interceptor = (next) => async (asked) => {
    const response = await next({ ...asked, message: other() } as typeof asked);
    return { ...response, header: new Headers({ "x-seen": "yes" }), trailer: new Headers({ "x-left": "2" }) };
  };
  const { ask } = await serveAlone(t, { interceptors: [meddles] });
  const { rest, body } = await ask();
  assert.equal(rest["x-seen"], "yes");
  assert.match(body.toString(), /sha256:bb.*"x-left":\["2"\]/s);
});
