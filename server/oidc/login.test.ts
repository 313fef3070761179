import assert from "node:assert/strict";
import type { webcrypto } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { base64url, exportSPKI, importJWK, SignJWT } from "jose";
import { AuthService } from "#proto/fleet/v1/auth";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { TokenService } from "#proto/fleet/v1/token";
import { pino } from "pino";

import { startOidcProvider, type TestProvider } from "../../test/support/oidc-provider.ts";
import { startTestServer, type TestServer } from "../testing.ts";
import { readOidcFile } from "./config.ts";
import { createProvider } from "./provider.ts";

const rules = [
  "rules:",
  "  - { claim: groups, value: fleet-admins, role: admin, scope: fleet }",
  "  - { claim: groups, value: [payments, payments-sre], role: operator, scope: { team: payments } }",
  "  - { claim: email, value: ada@example.com, role: viewer, scope: { team: search } }",
];

/** Writes a configuration file that is gone when the test is. */
function oidcFile(t: TestContext, lines: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "falconry-oidc-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "oidc.yaml");
  writeFileSync(file, lines.join("\n"));
  return file;
}

async function fleetOf(
  t: TestContext,
  provider: TestProvider,
  more: readonly string[] = [],
): Promise<TestServer> {
  const file = oidcFile(t, [`issuer: ${provider.issuer}`, "clientId: fleetctl", ...more, ...rules]);
  return startTestServer(t, { env: { FALCONRY_OIDC_FILE: file } });
}

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

test("a token of the provider becomes a short token of the fleet, with role and scope of the first rule that fits", async (t) => {
  const provider = await startOidcProvider(t);
  const at = await fleetOf(t, provider, ["sessionTtl: 15m"]);
  const auth = at.bare(AuthService);
  const before = Date.now();
  const admin = await auth.login({ token: await provider.sign() });
  assert.deepEqual([admin.identity?.name, admin.identity?.role], ["oidc:ada@example.com", "admin"]);
  assert.equal(admin.identity?.scope?.requirements.length, 0);
  const until = Number(admin.identity?.expiresAt?.seconds) * 1000;
  assert.ok(until >= before + 899_000 && until <= Date.now() + 901_000, "it lasts 15 minutes");

  const bob = { sub: "bob", email: "bob@example.com", groups: ["everyone", "payments-sre"] };
  const operator = await auth.login({ token: await provider.sign(bob) });
  assert.equal(operator.identity?.role, "operator");
  const clusters = at.bearing(ClusterService, operator.secret);
  assert.equal((await clusters.listClusters({})).totalSize, 0);

  const tokens = at.bearing(TokenService, admin.secret);
  const listed = (await tokens.listApiTokens({})).tokens.filter(({ issuer }) => issuer !== "");
  assert.deepEqual(listed.map(({ name }) => name).toSorted(), [
    "oidc:ada@example.com",
    "oidc:bob@example.com",
  ]);
  await tokens.revokeApiToken({ id: operator.identity?.tokenId ?? "" });
  assert.match(
    await refusal(clusters.listClusters({})),
    /^Unauthenticated: The login of "oidc:bob@example.com" was revoked/,
  );
});

test("whom no rule fits gets nothing, and an address that the provider did not check is nobody's", async (t) => {
  const provider = await startOidcProvider(t);
  const auth = (await fleetOf(t, provider)).bare(AuthService);
  const nobody = { sub: "eve", groups: ["everyone"], email: "ada@example.com" };
  for (const change of [
    { email_verified: false },
    { email_verified: "true" },
    { email_verified: undefined },
  ]) {
    const said = await refusal(auth.login({ token: await provider.sign({ ...nobody, ...change }) }));
    assert.match(said, /^PermissionDenied: Nothing gives oidc:eve a role here/);
  }
  for (const groups of [undefined, "fleet-admin", [["fleet-admins"]], { "fleet-admins": true }]) {
    const claims = { ...nobody, email: undefined, groups };
    assert.match(await refusal(auth.login({ token: await provider.sign(claims) })), /^PermissionDenied/);
  }
  assert.equal(
    (await auth.login({ token: await provider.sign({ ...nobody, email_verified: true }) })).identity?.role,
    "viewer",
  );
});

test("what the provider did not sign for us, or not for now, lets nobody in", async (t) => {
  const provider = await startOidcProvider(t);
  const auth = (await fleetOf(t, provider)).bare(AuthService);
  const now = Math.floor(Date.now() / 1000);
  const good = await provider.sign();
  const [, payload = "", signature = ""] = good.split(".");
  const header = (fields: object) => base64url.encode(JSON.stringify(fields));
  const { publicJwk, kid } = provider.key;
  const pem = new TextEncoder().encode(await exportSPKI((await importJWK(publicJwk)) as webcrypto.CryptoKey));
  const claims = JSON.parse(new TextDecoder().decode(base64url.decode(payload))) as Record<string, unknown>;
  const forged: Readonly<Record<string, [string, RegExp]>> = {
    "another audience": [await provider.sign({ aud: "another" }), /unexpected "aud"/],
    "an audience beside ours without azp": [
      await provider.sign({ aud: ["fleetctl", "x"] }),
      /several audiences/,
    ],
    "another azp": [await provider.sign({ azp: "another" }), /another client/],
    "another issuer": [await provider.sign({ iss: "https://evil.example.com" }), /unexpected "iss"/],
    "the issuer with a slash": [await provider.sign({ iss: `${provider.issuer}/` }), /unexpected "iss"/],
    expired: [await provider.sign({ iat: now - 7200, exp: now - 60 }), /"exp" claim timestamp check failed/],
    "not yet valid": [await provider.sign({ nbf: now + 600 }), /"nbf" claim timestamp check failed/],
    "no sub": [await provider.sign({ sub: undefined }), /missing required "sub"/],
    "an empty sub": [await provider.sign({ sub: "" }), /names nobody/],
    "no exp": [await provider.sign({ exp: undefined }), /missing required "exp"/],
    "no aud": [await provider.sign({ aud: undefined }), /"aud"/],
    "no iss": [await provider.sign({ iss: undefined }), /"iss"/],
    "a logout token": [await provider.sign({ events: {} }), /neither an ID token/],
    "a logout token by type": [await provider.sign({}, { typ: "logout+jwt" }), /neither an ID token/],
    "an unknown key": [await provider.sign({}, { kid: "key-99" }), /no applicable key/],
    "alg none": [`${header({ alg: "none", kid })}.${payload}.`, /refused/],
    "alg none with a signature": [`${header({ alg: "none" })}.${payload}.${signature}`, /refused/],
    "HS256 with the public key": [
      await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid }).sign(pem),
      /"alg".*not allowed/,
    ],
    "claims changed after signing": [
      [good.split(".")[0], base64url.encode(JSON.stringify({ ...claims, sub: "root" })), signature].join("."),
      /signature verification failed/,
    ],
    "a key of its own": [
      `${header({ alg: "RS256", jwk: publicJwk, jku: "http://127.0.0.1:1/keys" })}.${payload}.${signature}`,
      /refused/,
    ],
    "no token": ["x", /refused/],
    nothing: ["", /refused/],
    "too much": ["x".repeat(20_000), /longer than 16384 characters/],
  };
  for (const [what, [token, why]] of Object.entries(forged)) {
    const said = await refusal(auth.login({ token }));
    assert.match(said, /^Unauthenticated: The token of the identity provider /, what);
    assert.match(said, why, what);
  }
  assert.equal((await auth.login({ token: good })).identity?.role, "admin");
  assert.ok(provider.keyFetches() <= 2, `strangers made us fetch keys ${provider.keyFetches()} times`);
});

test("a key that the provider takes into use is found, one that it drops is not trusted for long, and between two looks there is a pause", async (t) => {
  const provider = await startOidcProvider(t);
  const file = oidcFile(t, [`issuer: ${provider.issuer}`, "clientId: fleetctl", ...rules]);
  const log = pino({ level: "silent" });
  const hasty = createProvider(readOidcFile(file), log, { cooldownMs: 0 });
  const patient = createProvider(readOidcFile(file), log, { cooldownMs: 60_000 });
  const old = await provider.sign();
  for (const each of [hasty, patient]) assert.ok((await each.verify(old, new Date())).ok);
  await provider.rotate();
  const fresh = await provider.sign();
  assert.ok((await hasty.verify(fresh, new Date())).ok, "the new key is fetched when a token names it");
  assert.ok(!(await hasty.verify(old, new Date())).ok, "the old key is gone with it");
  const fetches = provider.keyFetches();
  for (let i = 0; i < 20; i += 1) assert.ok(!(await patient.verify(fresh, new Date())).ok);
  assert.equal(provider.keyFetches(), fetches, "within the pause nobody makes us ask");
});

test("a provider that is away keeps nobody from using tokens that they have, and says nothing of our network", async (t) => {
  const file = oidcFile(t, ["issuer: http://127.0.0.1:1", "clientId: fleetctl", ...rules]);
  const at = await startTestServer(t, { env: { FALCONRY_OIDC_FILE: file } });
  const said = await refusal(at.bare(AuthService).login({ token: "a.b.c" }));
  assert.equal(said, "Unavailable: The keys of the identity provider cannot be fetched right now: try again");
  assert.equal((await (await at.client(ClusterService)).listClusters({})).totalSize, 0);
});

test("without a provider nobody logs in", async (t) => {
  const at = await startTestServer(t);
  for (const call of [at.bare(AuthService).getLoginOptions({}), at.bare(AuthService).login({ token: "x" })]) {
    assert.match(await refusal(call), /^FailedPrecondition: No identity provider is configured here/);
  }
});

test("a configuration that is wrong keeps the server from starting, with every problem at once", (t) => {
  const wrong = oidcFile(t, [
    "issuer: http://login.example.com",
    "clientid: fleetctl",
    "sessionTtl: 2d",
    "rules:",
    "  - { claim: groups, value: admins, role: root, scope: fleet }",
    "  - { claim: groups, value: admins, role: admin }",
    "  - { claim: groups, value: [], role: viewer, scope: { team: [] } }",
  ]);
  assert.throws(
    () => readOidcFile(wrong),
    (error: Error) => {
      for (const expected of [
        /issuer: "http:\/\/login.example.com" is no https address/,
        /no field "clientid"/,
        /clientId: has to be a text/,
        /sessionTtl is no duration from 60s to 43200s/,
        /rules\[0\]: role: "root" is none of viewer, operator, approver, admin/,
        /rules\[1\]: scope: has to be labels/,
        /rules\[2\]: value: has to be/,
        /rules\[2\]: scope: team: has to be/,
      ]) {
        assert.match(error.message, expected);
      }
      return true;
    },
  );
  assert.throws(() => readOidcFile(oidcFile(t, ["issuer: [*a]"])), /FALCONRY_OIDC_FILE: .* is wrong/);
  assert.throws(() => readOidcFile("/nowhere/oidc.yaml"), /cannot be read \(ENOENT\)/);
});
