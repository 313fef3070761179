import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  certificateToPem,
  createCa,
  createCsr,
  generatePrivateKey,
  issueAgentCertificate,
  issueServerCertificate,
} from "#trust";
import { startFaultServer } from "./testing/fault-server.ts";
import { okay, open, send } from "./testing/http-clients.ts";

/** A TLS server that wants a certificate, its files, and the name of who came. */
async function startTls(t: TestContext, names: readonly string[]) {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-tls-")));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const now = new Date();
  const ca = await createCa({ now, org: "test" });
  const leaf = await issueServerCertificate({ ca, names, now });
  const clientKey = generatePrivateKey();
  const client = await issueAgentCertificate({
    ca,
    csr: await createCsr(clientKey),
    identity: { org: "default", clusterId: "cl_1", agentId: "ag_1" },
    now,
  });
  assert.ok(client.ok);
  const sealed = createPrivateKey(clientKey).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "open sesame",
  });
  const files = {
    ca: join(dir, "ca.pem"),
    cert: join(dir, "client.pem"),
    key: join(dir, "client.key"),
    password: join(dir, "password"),
  };
  const caPem = certificateToPem(ca.certificate);
  fs.writeFileSync(files.ca, caPem);
  fs.writeFileSync(files.cert, certificateToPem(client.value));
  fs.writeFileSync(files.key, sealed);
  fs.writeFileSync(files.password, "open sesame\n");
  const hosts: (string | undefined)[] = [];
  const server = https.createServer(
    {
      cert: certificateToPem(leaf.certificate),
      key: leaf.privateKey,
      ca: caPem,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      const socket = request.socket as TLSSocket;
      hosts.push(request.headers.host);
      response.end(`${socket.authorized} ${socket.servername === false ? "" : socket.servername}`);
      request.resume();
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { dir, files, hosts, port: (server.address() as net.AddressInfo).port };
}

test("TLS verifies the server, shows the client's certificate, and opens a key with its password", async (t) => {
  const { dir, files, port } = await startTls(t, ["127.0.0.1"]);
  const tls = ` tls on\n tls.ca_file ${files.ca}\n`;
  const certificate = ` tls.crt_file ${files.cert}\n tls.key_file ${files.key}\n`;
  const both = `${tls}${certificate} tls.key_passwd_file ${files.password}\n`;
  const shown = await send(open(t, port, both, dir));
  assert.ok(shown.kind === "answer", JSON.stringify(shown));
  assert.equal(shown.body.toString(), "true ");
  const wrong = await send(open(t, port, `${tls}${certificate} tls.key_passwd \${TEAM}\n`, dir));
  assert.ok(wrong.kind === "none" && wrong.cause === "unusable", JSON.stringify(wrong));
  const strange = await send(open(t, port, " tls on\n"));
  assert.ok(strange.kind === "none" && strange.cause === "unusable");
  assert.match(strange.why, /certificate/);
  const careless = await send(open(t, port, " tls on\n tls.verify off\n"));
  assert.ok(careless.kind === "answer");
});

test("tls.vhost is the name that is asked for and that the certificate has to hold", async (t) => {
  const { files, port } = await startTls(t, ["logs.example.com"]);
  const tls = ` tls on\n tls.ca_file ${files.ca}\n`;
  const other = await send(open(t, port, tls));
  assert.ok(other.kind === "none" && other.cause === "unusable");
  assert.match(other.why, /does not match certificate's altnames/);
  const named = await send(open(t, port, `${tls} tls.vhost logs.example.com\n`));
  assert.ok(named.kind === "answer");
  assert.equal(named.body.toString(), "false logs.example.com");
});

/** A proxy that tunnels and forwards, with what it was asked for. */
async function startProxy(t: TestContext, answer = 200) {
  const asked: string[] = [];
  const proxy = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers["proxy-authorization"] ?? ""}`.trim());
    const { host, port, pathname, search } = new URL(request.url ?? "", "http://none");
    const hostname = host.replace(/:\d+$/, "");
    const onward = http.request(
      { hostname, port, path: pathname + search, method: request.method, headers: request.headers },
      (reply) => reply.pipe(response.writeHead(reply.statusCode ?? 500)),
    );
    request.pipe(onward);
  });
  proxy.on("connect", (request, socket: net.Socket) => {
    asked.push(`CONNECT ${request.url} ${request.headers["proxy-authorization"] ?? ""}`.trim());
    const [hostname, port] = (request.url ?? "").split(":");
    if (answer !== 200) return void socket.end(`HTTP/1.1 ${answer} No\r\n\r\n`);
    const onward = net.connect({ host: hostname ?? "", port: Number(port) }, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward]) {
      end.on("error", () => [socket, onward].forEach((one) => one.destroy()));
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { asked, port: (proxy.address() as net.AddressInfo).port };
}

test("through a proxy plain requests are forwarded, with the proxy's own credentials", async (t) => {
  const server = await startFaultServer(t, okay);
  const proxy = await startProxy(t);
  const client = open(t, server.port, ` Proxy http://me:secret@127.0.0.1:${proxy.port}\n`);
  const reply = await send(client);
  assert.ok(reply.kind === "answer" && reply.status === 200, JSON.stringify(reply));
  const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`;
  assert.deepEqual(proxy.asked, [`POST http://127.0.0.1:${server.port}/in?x=1 ${basic}`]);
  assert.equal(server.requests[0]?.headers.host, `127.0.0.1:${server.port}`);
});

test("through a proxy TLS is tunnelled, so that the proxy sees nothing but the destination", async (t) => {
  const { files, port } = await startTls(t, ["127.0.0.1"]);
  const proxy = await startProxy(t);
  const tls = ` tls on\n tls.ca_file ${files.ca}\n`;
  const client = open(t, port, `${tls} Proxy http://127.0.0.1:${proxy.port}\n`);
  for (let count = 0; count < 2; count++) {
    const reply = await send(client);
    assert.ok(reply.kind === "answer" && reply.status === 200, JSON.stringify(reply));
  }
  assert.deepEqual(proxy.asked, [`CONNECT 127.0.0.1:${port}`]);
  const refusing = await startProxy(t, 407);
  const refused = await send(open(t, port, `${tls} Proxy http://127.0.0.1:${refusing.port}\n`));
  assert.ok(refused.kind === "none" && refused.cause === "unusable");
  assert.match(refused.why, /proxy 127\.0\.0\.1:\d+ answered 407/);
});
