/** Two real server processes on two state directories; each is killed in the middle of a replacement of the CA. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { until } from "../../cli/local/until.ts";
import { publishRoot } from "../../server/testing.ts";
import { CaService } from "#proto/fleet/v1/ca";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { TokenService } from "#proto/fleet/v1/token";
import { certificateToPem, spkiPin } from "#trust";
import { enroll } from "../../agent/identity/enroll.ts";
import { readIdentity, writeIdentity } from "../../agent/identity/identity.ts";
import { log, newHome } from "../../agent/testing.ts";
import { programArgs } from "../support/built-programs.ts";
import { freshDatabaseUrl } from "../support/postgres.ts";
import { bareEnv } from "../support/bare-env.ts";

type Env = Readonly<Record<string, string>>;

async function startServer(t: TestContext, env: Env, port: number = 0) {
  const child = spawn(process.execPath, [...programArgs("server")], {
    env: { ...bareEnv(), FALCONRY_LISTEN: `127.0.0.1:${port}`, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => kill(child));
  assert.ok(child.stdout);
  const listening = await new Promise<{ port: number; caPin: string }>((resolve, reject) => {
    createInterface({ input: child.stdout ?? process.stdin }).on("line", (raw) => {
      const line = JSON.parse(raw) as { msg: string; port: number; caPin: string };
      if (line.msg === "listening") resolve(line);
    });
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { child, ...listening };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("kill -9 of servers in the middle of replacing the CA leaves a fleet that works, and an agent that goes through it all", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "falconry-ca-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const env = (name: string): Env => ({ DATABASE_URL: url, FALCONRY_STATE_DIR: join(folder, name) });
  const url = await freshDatabaseUrl(t);
  let a = await startServer(t, env("a"));
  for (const part of ["ca", "keys"]) {
    cpSync(join(folder, "a", part), join(folder, "b", part), { recursive: true });
  }
  const b = await startServer(t, env("b"));
  const made = spawn(process.execPath, [...programArgs("server"), "admin-token"], {
    env: { ...bareEnv(), ...env("a") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const token = (await text(made.stdout)).trim();
  const trusted = [readFileSync(join(folder, "a", "ca", "ca.crt"), "utf8")];
  const client = <S extends DescService>(port: number, service: S): Client<S> => {
    const authorize: Interceptor = (next) => (request) => {
      request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const baseUrl = `https://localhost:${port}`;
    const nodeOptions = { ca: trusted };
    return createClient(
      service,
      createConnectTransport({
        baseUrl,
        httpVersion: "2",
        nodeOptions,
        interceptors: [authorize],
        idleConnectionTimeoutMs: 500,
      }),
    );
  };
  await publishRoot({ client: (service) => Promise.resolve(client(a.port, service)) });
  const { joinString } = await client(a.port, TokenService).createJoinToken({ labels: { region: "eu" } });
  const home = newHome(t, joinString);
  await enroll(home.config, log, new AbortController().signal);
  let agent = await home.start();
  const gate = async (port: number) => (await client(port, CaService).getCa({})).gate;
  const see = (what: string, holds: () => Promise<boolean>) =>
    until(what, 60_000, async () => ((await holds()) ? { done: true } : { seen: "not yet" }));

  // Killed as soon as it has said yes: the other one holds the new CA, and it does itself when it is back.
  const next = (await client(a.port, CaService).rotateCa({})).ca?.authorities[1];
  assert.ok(next);
  await kill(a.child);
  assert.equal((await client(b.port, CaService).getCa({})).authorities[1]?.pin, next.pin);
  a = await startServer(t, env("a"), a.port);
  await see(
    "the agent proves at the one that came back that it trusts both",
    async () => (await gate(b.port))?.trusting === 1,
  );

  trusted.push(next.certificate);
  await client(b.port, CaService).switchCa({});
  await kill(b.child);
  await see("the one that is left presents the new CA", async () =>
    (await client(a.port, CaService).getCa({})).authorities.some(
      (ca) => ca.isPresented && ca.pin === next.pin,
    ),
  );
  // Its certificate is due, as it would be within ten minutes.
  await agent.stop();
  const aged = readIdentity(home.paths.identity);
  assert.ok(aged);
  const lateMs = 20 * 3_600_000;
  writeIdentity(home.paths.identity, {
    ...aged,
    notBeforeMs: aged.notBeforeMs - lateMs,
    notAfterMs: aged.notAfterMs - lateMs,
  });
  agent = await home.start();
  await see("the agent uses a certificate of the new CA", async () => (await gate(a.port))?.certified === 1);
  await client(a.port, CaService).finishCa({});
  await kill(a.child);

  // As if it had died before the disk was written: it follows from the old CA again.
  cpSync(join(folder, "b", "ca"), join(folder, "a", "ca"), { recursive: true });
  const back = await startServer(t, env("a"), a.port);
  assert.equal(back.caPin, next.pin);
  await see("the agent is back and trusts the new CA alone", async () => {
    const { cluster } = await client(back.port, ClusterService).getCluster({ cluster: "eu-1" });
    const { ca = [] } = readIdentity(home.paths.identity) ?? {};
    const pins = ca.map((pem) => spkiPin(new X509Certificate(pem).raw));
    return cluster?.agents[0]?.transport !== "" && pins.join() === next.pin;
  });
  assert.equal(
    certificateToPem(new X509Certificate(next.certificate).raw).trim(),
    readFileSync(join(folder, "a", "ca", "ca.crt"), "utf8").trim(),
  );
});
