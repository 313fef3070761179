import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createServer } from "node:http2";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { createConnections } from "./connections.ts";
import { defaultLimits } from "./limits.ts";
import { until } from "./rpc/agent-service/fixture.ts";

const preface = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const ping = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);

/** Speaks HTTP/2 as far as it is told to, answers nothing, and counts the pings that it is sent. */
function openMute(port: number) {
  const socket = connect(port, "127.0.0.1");
  socket.write(preface);
  let bytes = Buffer.alloc(0);
  const mute = { socket, asked: 0 };
  socket.on("data", (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
      const isPing = bytes[3] === 6 && bytes[4] === 0;
      if (isPing) mute.asked += 1;
      bytes = bytes.subarray(9 + bytes.readUIntBE(0, 3));
    }
  });
  socket.on("error", () => undefined);
  return mute;
}

test("a peer that vanished is cut, one that answers stays, and one that sends by itself stays and is not even asked, however late that is read", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const cuts: string[] = [];
  const connection = { ...defaultLimits.connection, pingMs: 400 };
  const connections = createConnections({ ...defaultLimits, connection }, (why) => cuts.push(why));
  const server = createServer();
  const raws = new Map<number, Socket>();
  let settled = 0;
  server.prependListener("connection", (raw: Socket) => {
    raws.set(raw.remotePort ?? 0, raw);
    connections.opened(raw);
  });
  server.on("session", (session) => {
    connections.session(session);
    session.once("remoteSettings", () => (settled += 1));
    // Of the polite one alone: the others acknowledge nothing.
    session.once("localSettings", () => (settled += 1));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const vanished = openMute(port);
  const busy = openMute(port);
  const polite = connectHttp2(`http://127.0.0.1:${port}`);
  let asked = 0;
  polite.on("ping", () => (asked += 1));
  t.after(() => {
    for (const each of [vanished.socket, busy.socket, polite]) each.destroy();
    connections.destroyAll();
    server.close();
  });
  await until("all that is said at first was read", () => settled === 4);
  const readOf = (socket?: Pick<Socket, "localPort">) => raws.get(socket?.localPort ?? 0)?.bytesRead ?? 0;
  /** A look at all. What the busy one says right before it was not read by then, and nothing else came from it since the last look. */
  const look = async (isLate: boolean) => {
    await delay(0);
    if (isLate) busy.socket.write(ping);
    t.mock.timers.tick(200);
  };
  await look(false);
  const before = readOf(polite.socket);
  await look(true);
  await until(
    "both that are quiet were asked, and one has answered",
    () => vanished.asked === 1 && asked === 1 && readOf(polite.socket) > before,
  );
  await look(false);
  await look(true);
  await until("the one that is quiet again is asked", () => asked === 2);
  await until("the one that vanished is cut", () => vanished.socket.closed);
  assert.deepEqual(cuts, ["no-pong"]);
  assert.deepEqual([vanished.asked, busy.asked], [1, 0]);
  assert.deepEqual([busy.socket.destroyed, polite.destroyed], [false, false]);
});
