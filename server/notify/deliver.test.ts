/** Every kind of receiver against something real on this machine, and every way in which a webhook goes wrong. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac, generateKeyPairSync, verify } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { freePort } from "../../test/support/free-ports.ts";
import type { Entry } from "../domain/notify/group.ts";
import type { Message } from "../domain/notify/message.ts";
import { parseReceiver, type ReceiverWish, type Secrets, type Settings } from "../domain/notify/receiver.ts";
import { deliver } from "./deliver.ts";
import type { Reach } from "./resolve.ts";
import { reachOf, startHook, startMailSink, type Received } from "./testing.ts";

const now = () => Date.now();
const home = "https://fleet.example.com:8443/";
const alert = { groupId: "gr_0123456789abcdef", id: "a".repeat(64), auditId: "audit-7" };
const hmac = "0123456789abcdef0123456789abcdef";

const entry: Entry = {
  key: "k",
  kind: "alert",
  rule: "Exec into a pod",
  priority: 2,
  source: "k8s_audit",
  cluster: "eu-1",
  actor: "eve",
  subject: "",
  labels: { region: "eu" },
  summary: "sh in gateway-0",
  alert,
  count: 2,
  firstMs: now() - 1_000,
  lastMs: now(),
  seenMs: now(),
};

function messageOf(change: Partial<Message> = {}): Message {
  const base = {
    id: "nd_0123456789abcdef",
    org: "default",
    route: "soc",
    group: "g",
    labels: { rule: entry.rule },
  };
  const times = { atMs: now(), untilMs: now() + 600_000 };
  return { ...base, ...times, firing: [entry], resolved: [], leftOut: 0, ...change };
}

const report = {
  title: "Who ran commands in pods",
  summary: "3 rows, 4 acts, 5 alerts",
  fileName: "exec.html",
  mediaType: "text/html",
  text: "<!doctype html><p>Nothing was caught.</p>",
};

async function send(kind: string, settings: Settings, secrets: Secrets, reach: Reach, message = messageOf()) {
  const wish: ReceiverWish = { name: "r", kind, settings, secrets, perMinute: 0 };
  const parsed = parseReceiver(wish);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return deliver(message, parsed.value.receiver, parsed.value.secrets, { reach, home, nowMs: now });
}

function headerOf({ headers }: Received, name: string): string {
  return String(headers[name]);
}

test("a webhook can prove by HMAC or Ed25519 that a message is ours and of now, and tell one that comes twice", async (t) => {
  const hook = await startHook(t);
  const reach = reachOf(hook.tls);
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  assert.ok((await send("webhook", { url: hook.url }, { hmac }, reach)).ok);
  assert.ok((await send("webhook", { url: hook.url }, { ed25519: pem }, reach)).ok);
  const [byHmac, byKey] = hook.received;
  assert.ok(byHmac !== undefined && byKey !== undefined);
  const signed = (one: Received) => `v1:${headerOf(one, "falconry-timestamp")}:${one.body}`;
  const wanted = createHmac("sha256", hmac).update(signed(byHmac)).digest("hex");
  assert.equal(headerOf(byHmac, "falconry-signature"), `v1=${wanted}`);
  const signature = Buffer.from(headerOf(byKey, "falconry-signature").slice("ed25519=".length), "base64");
  assert.ok(verify(null, Buffer.from(signed(byKey)), publicKey, signature));
  assert.ok(Math.abs(Number(headerOf(byKey, "falconry-timestamp")) - now() / 1000) < 60);
  assert.equal(headerOf(byHmac, "falconry-delivery"), headerOf(byKey, "falconry-delivery"));
});

test("Slack and PagerDuty get what they read, PagerDuty nothing of what ended while the rest of it goes on, and a report goes to Slack as its summary alone", async (t) => {
  const hook = await startHook(t);
  const reach = reachOf(hook.tls);
  assert.ok((await send("slack", { channel: "#soc" }, { url: hook.url }, reach)).ok);
  assert.ok((await send("pagerduty", { url: hook.url }, { key: "R0UT1NG" }, reach)).ok);
  const part = messageOf({ firing: [], resolved: [entry], goesOn: true });
  assert.deepEqual(await send("pagerduty", { url: hook.url }, { key: "R0UT1NG" }, reach, part), {
    ok: true,
    detail: "Nothing to send: the incident goes on",
  });
  assert.ok((await send("slack", {}, { url: hook.url }, reach, messageOf({ firing: [], report }))).ok);
  assert.equal(hook.received.length, 3);
  const [slack, pager, summary] = hook.received.map(
    ({ body }) => JSON.parse(body) as Record<string, unknown>,
  );
  assert.match(String(slack?.["text"]), /^\*\[Critical\] Exec into a pod in eu-1\*\n• Critical/);
  assert.deepEqual([pager?.["routing_key"], pager?.["event_action"]], ["R0UT1NG", "trigger"]);
  const page = `${home}alerts/${alert.groupId}?alert=${alert.id}.${entry.lastMs}`;
  assert.ok(String(slack?.["text"]).endsWith(`: sh in gateway-0 (eve) (2 times) <${page}|open>`));
  assert.equal(pager?.["client_url"], page);
  assert.deepEqual(pager["links"], [{ href: page, text: "Exec into a pod in eu-1" }]);
  assert.match(String(summary?.["text"]), /^\*Who ran commands in pods\*\n• 3 rows, 4 acts, 5 alerts$/);
});

test("a webhook that fails, is busy, hangs or cuts is tried again; one that refuses or points elsewhere is not", async (t) => {
  const hook = await startHook(t);
  const reach = reachOf(hook.tls, { timeoutMs: 300 });
  const outcome = async (answer: typeof hook.answer) => {
    hook.answer = answer;
    const result = await send("webhook", { url: hook.url }, { hmac }, reach);
    return result.ok
      ? "ok"
      : `${result.mayRetry ? "later" : "never"} ${result.retryAfterMs ?? ""}: ${result.why}`;
  };
  const status = (code: number, headers = {}, text = "") =>
    outcome((response) => response.writeHead(code, headers).end(text));
  assert.match(await status(500, {}, "<h1>oops</h1>"), /^later : localhost answered 500: <h1>oops<\/h1>$/);
  assert.match(await status(429, { "retry-after": "90" }), /^later 90000: localhost answered 429$/);
  assert.match(await status(404), /^never : localhost answered 404$/);
  const elsewhere = { location: "http://169.254.169.254/latest/meta-data/" };
  assert.match(
    await status(302, elsewhere),
    /^never : localhost answered 302, a redirect, and none is followed$/,
  );
  assert.equal(hook.received.length, 4);
  assert.match(await outcome(() => {}), /^later : localhost: no answer within 0.3 s$/);
  assert.match(await outcome((response) => response.destroy()), /^later : localhost: socket hang up$/);
});

test("an answer that never ends takes neither memory nor time: its status counts", async (t) => {
  const hook = await startHook(t);
  let written = 0;
  hook.answer = (response) => {
    response.writeHead(200);
    const pour = () => {
      while (!response.destroyed && written < 64 * 1024 * 1024) {
        written += 64 * 1024;
        if (!response.write(Buffer.alloc(64 * 1024, "x"))) return;
      }
    };
    response.on("drain", pour);
    pour();
  };
  const result = await send("webhook", { url: hook.url }, { hmac }, reachOf(hook.tls));
  assert.ok(result.ok && result.detail.length < 300, JSON.stringify(result));
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes were read`);
});

test("a name that means an address inside gets no connection, whichever of its addresses that is, and is resolved once", async (t) => {
  const hook = await startHook(t);
  const outcome = async (addresses: readonly string[], url = hook.url, opened = reachOf(hook.tls).opened) => {
    let asked = 0;
    const lookup = () => {
      asked += 1;
      // As in a rebinding attack: another address from the second time on.
      return Promise.resolve(asked === 1 ? addresses : ["169.254.169.254"]);
    };
    const result = await send("webhook", { url }, { hmac }, reachOf(hook.tls, { lookup, opened }));
    assert.equal(asked, 1);
    return result.ok ? "ok" : result.why;
  };
  assert.match(
    await outcome(["169.254.169.254"]),
    /^localhost: the address 169\.254\.169\.254 is link-local/,
  );
  assert.match(await outcome(["8.8.8.8", "10.0.0.1"]), /the address 10\.0\.0\.1 is private/);
  assert.match(await outcome(["127.0.0.1"], hook.url, []), /the address 127\.0\.0\.1 is of this machine/);
  assert.match(
    await outcome(["8.8.8.8"], "http://hooks.example/x"),
    /^hooks\.example would get it in plain text: use https/,
  );
  assert.equal(hook.received.length, 0);
  assert.equal(await outcome(["127.0.0.1"]), "ok");
  // Other ways to write loopback, without a name to ask for.
  for (const url of [
    "https://[::ffff:127.0.0.1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.1/",
  ]) {
    const result = await send("webhook", { url }, { hmac }, { ...reachOf(hook.tls), opened: [] });
    assert.match(
      result.ok ? "ok" : result.why,
      /of this machine: FALCONRY_NOTIFY_NETWORKS does not open it$/,
    );
  }
});

test("a certificate of another name or another CA gets no message", async (t) => {
  const hook = await startHook(t);
  const other = `https://127.0.0.2:${hook.port}/hook`;
  const lookup = () => Promise.resolve(["127.0.0.1"]);
  const stranger = await send("webhook", { url: hook.url }, { hmac }, reachOf(undefined));
  assert.match(stranger.ok ? "ok" : stranger.why, /self-signed certificate in certificate chain/);
  const misnamed = await send(
    "slack",
    {},
    { url: other.replace("127.0.0.2", "hooks.example") },
    reachOf(hook.tls, { lookup }),
  );
  assert.match(misnamed.ok ? "ok" : misnamed.why, /Hostname\/IP does not match/);
  assert.equal(hook.received.length, 0);
});

test("a mail goes out over STARTTLS with the report attached, and a relay's refusal for good is not repeated", async (t) => {
  const sink = await startMailSink(t);
  const settings = {
    host: "localhost",
    port: String(sink.port),
    from: "falconry@example.com",
    to: "soc@example.com, lead@example.com",
    username: "falconry",
  };
  const mail = (
    secrets: Secrets,
    more: Settings = {},
    reach = reachOf(sink.tls),
    message = messageOf({ firing: [], report }),
  ) => send("smtp", { ...settings, ...more }, secrets, reach, message);
  const sent = await mail({ password: "s3cret" });
  assert.ok(sent.ok, JSON.stringify(sent));
  const [raw = ""] = sink.mails;
  assert.match(raw, /^Subject: Who ran commands in pods\r$/m);
  assert.match(raw, /^To: soc@example\.com, lead@example\.com\r$/m);
  assert.match(raw, /^Message-ID: <nd_0123456789abcdef@falconry>\r$/m);
  assert.match(raw, /filename=exec\.html/);
  const wrong = await mail({ password: "no" });
  assert.ok(!wrong.ok && !wrong.mayRetry && !wrong.why.includes("s3cret"), JSON.stringify(wrong));
  sink.refused.add("soc@example.com").add("lead@example.com");
  const nobody = await mail({ password: "s3cret" });
  assert.ok(!nobody.ok && !nobody.mayRetry, JSON.stringify(nobody));
  const untrusted = await mail({ password: "s3cret" }, {}, reachOf(undefined));
  assert.match(untrusted.ok ? "ok" : untrusted.why, /self-signed certificate/);
  const lookup = () => Promise.resolve(["127.0.0.1"]);
  const plain = await mail({}, { tls: "none" }, { ...reachOf(sink.tls, { lookup }), opened: [] });
  assert.match(plain.ok ? "ok" : plain.why, /of this machine/);
  assert.equal(sink.mails.length, 1);
});

test("what a relay says is told without control characters: a database takes no NUL, and a terminal obeys the others", async (t) => {
  const relay = createServer((socket) => socket.end("554 go \u0000 away \u001b[2J\r\n"));
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  t.after(() => relay.close());
  const port = String((relay.address() as AddressInfo).port);
  const settings = { host: "localhost", port, tls: "none", from: "f@example.com", to: "soc@example.com" };
  const result = await send("smtp", settings, {}, reachOf(undefined));
  assert.match(result.ok ? "ok" : result.why, /554 go \\u0000 away \\u001b\[2J/);
});

test("a subject that somebody chose adds no header to a mail", async (t) => {
  const sink = await startMailSink(t);
  const settings = {
    host: "localhost",
    port: String(sink.port),
    from: "f@example.com",
    to: "soc@example.com",
    username: "falconry",
  };
  const evil = messageOf({ firing: [{ ...entry, rule: "Exec\r\nBcc: all@example.com\r\n" }] });
  assert.ok((await send("smtp", settings, { password: "s3cret" }, reachOf(sink.tls), evil)).ok);
  assert.doesNotMatch(sink.mails[0] ?? "", /^Bcc/m);
});

const alertmanager = process.env["ALERTMANAGER_BIN"] ?? "/usr/bin/prometheus-alertmanager";
const missing = existsSync(alertmanager)
  ? false
  : "There is no Alertmanager: set ALERTMANAGER_BIN, or install Debian's prometheus-alertmanager";

test(
  "a real Alertmanager takes alerts, keeps them as one when told again, and lets go of what is over",
  { skip: missing },
  async (t) => {
    const url = await startAlertmanager(t);
    const reach = reachOf(undefined);
    const { alert: _alert, ...some } = entry;
    const state = { ...some, kind: "state" as const, rule: "Agent silent", subject: "node-1", actor: "" };
    const message = messageOf({ firing: [entry, state] });
    for (const one of [message, { ...message, firing: [entry, { ...state, count: 0 }] }]) {
      const sent = await send("alertmanager", { url: `${url}/` }, {}, reach, one);
      assert.ok(sent.ok, JSON.stringify(sent));
    }
    const names = async () => {
      const response = await fetch(`${url}/api/v2/alerts`);
      const alerts = (await response.json()) as KeptAlert[];
      return alerts
        .map(({ labels }) => `${labels["alertname"]} ${labels["cluster"]} ${labels["region"]}`)
        .toSorted();
    };
    assert.deepEqual(await names(), ["Agent silent eu-1 eu", "Exec into a pod eu-1 eu"]);
    const kept = (await (await fetch(`${url}/api/v2/alerts`)).json()) as KeptAlert[];
    assert.deepEqual(
      kept.map(({ generatorURL, annotations }) => `${generatorURL} ${annotations["audit_id"]}`).toSorted(),
      [
        `${home}alerts/${alert.groupId}?alert=${alert.id}.${entry.lastMs} audit-7`,
        `${home}clusters/eu-1 undefined`,
      ],
    );
    const over = { ...message, firing: [], resolved: [{ ...state, endedMs: now() - 10 }] };
    assert.ok((await send("alertmanager", { url }, {}, reach, over)).ok);
    assert.deepEqual(await names(), ["Exec into a pod eu-1 eu"]);
  },
);

/** An alert as Alertmanager tells it again. */
interface KeptAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly generatorURL: string;
}

async function startAlertmanager(t: TestContext): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "falconry-alertmanager-"));
  const config = join(dir, "alertmanager.yml");
  writeFileSync(config, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n");
  const port = await freePort();
  const args = [
    `--config.file=${config}`,
    `--storage.path=${dir}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--cluster.listen-address=",
  ];
  const child = spawn(alertmanager, args, { stdio: "ignore" });
  const gone = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await gone;
    rmSync(dir, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${port}`;
  for (let i = 0; i < 200; i += 1) {
    const response = await fetch(`${url}/-/ready`).catch(() => undefined);
    if (response?.ok === true) return url;
    await delay(50);
  }
  throw new Error("Alertmanager did not get ready");
}
