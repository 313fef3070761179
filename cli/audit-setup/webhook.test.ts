import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { certificateToPem, createCa, generatePrivateKey } from "#trust";
import { temporaryDirectory } from "../../test/support/run-cli.ts";
import { checkTokenFile, webhookTarget } from "./webhook.ts";

test("an audit log goes over TLS, or to the host itself; a URL that only looks like one is refused", async () => {
  for (const url of [
    "https://agent.example:9880/audit",
    "http://127.0.0.1:9880/audit",
    "http://localhost:9880/",
    "http://[::1]:9880/audit",
  ]) {
    assert.deepEqual(await webhookTarget(url, undefined, undefined), { url });
  }
  for (const [url, said] of [
    ["localhost:9880/audit", /no URL of http or https/],
    ["ftp://127.0.0.1/audit", /no URL of http or https/],
    ["agent", /no URL of http or https/],
    ["http://agent.example:9880/audit", /in the clear/],
    ["http://127.0.0.1.example:9880/audit", /in the clear/],
    ["https://me:secret@agent.example/audit", /user or password/],
  ] as const) {
    await assert.rejects(webhookTarget(url, undefined, undefined), said, url);
  }
});

test("a token or CA for a receiver without TLS is refused: the API server would leave both away", async () => {
  const url = "http://127.0.0.1:9880/audit";
  await assert.rejects(webhookTarget(url, "/ca.crt", undefined), /without TLS/);
  await assert.rejects(webhookTarget(url, undefined, "/token"), /without TLS/);
});

test("only certificates get into the client config: what else a file holds is refused, by its name", async (t) => {
  const path = join(await temporaryDirectory(t), "ca.crt");
  const url = "https://agent.example/audit";
  const [one, two] = await Promise.all(
    ["a", "b"].map(async (org) => certificateToPem((await createCa({ org, now: new Date() })).certificate)),
  );
  await writeFile(path, `# first\r\n${one}# second\n${two}`);
  const { ca = "" } = await webhookTarget(url, path, undefined);
  assert.equal(ca.replaceAll(/\s+/g, " ").trim(), `${one}${two}`.replaceAll(/\s+/g, " ").trim());
  for (const [text, said] of [
    ["", /ca\.crt holds no certificate/],
    [`${one}${generatePrivateKey()}`, /holds a private key/],
    [
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      /certificate \(1\) that cannot be read/,
    ],
    ["x".repeat(300_000), /at most 262144/],
  ] as const) {
    await writeFile(path, text);
    await assert.rejects(webhookTarget(url, path, undefined), said);
  }
});

test("a token's path that the API server would look for elsewhere is refused", async () => {
  await assert.rejects(webhookTarget("https://agent.example/audit", undefined, "token"), /no absolute path/);
});

test("a token's file without a token is found out before the API server is told to read it", async (t) => {
  const path = join(await temporaryDirectory(t), "token");
  for (const text of ["", "\n", "two words\n", "a\nb\n"]) {
    await writeFile(path, text);
    await assert.rejects(checkTokenFile(path), /token holds no token of one line/);
  }
  await writeFile(path, "s3cret\n");
  await checkTokenFile(path);
});
