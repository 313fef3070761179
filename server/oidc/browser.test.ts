import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { pino } from "pino";

import { createBrowserSignIn, type BrowserSignIn } from "./browser.ts";
import { createProvider } from "./provider.ts";

const log = pino({ level: "silent" });

interface World {
  readonly signIn: BrowserSignIn;
  readonly issuer: string;
  /** What the provider puts into the next token. */
  readonly claims: Record<string, unknown>;
  /** Forms that came to the token endpoint. */
  readonly forms: URLSearchParams[];
  /** How the provider hands out its discovery document, and when it is. */
  readonly state: { isAway: boolean; documents: number; nowMs: number };
}

/** A provider that gives a token for any code, with the claims that a test wants. */
async function startWorld(t: TestContext): Promise<World> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(publicKey)), kid: "k", alg: "ES256" };
  const claims: Record<string, unknown> = {};
  const forms: URLSearchParams[] = [];
  const state = { isAway: false, documents: 0, nowMs: Date.now() };
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on(
      "end",
      () => void answer(request.url ?? "", body).then((json) => response.end(JSON.stringify(json))),
    );
  });
  const answer = async (path: string, body: string): Promise<object> => {
    if (path === "/jwks") return { keys: [jwk] };
    if (path === "/token") {
      forms.push(new URLSearchParams(body));
      const now = Math.floor(Date.now() / 1000);
      const whole = { iss: issuer, aud: "console", sub: "ada", iat: now, exp: now + 60, ...claims };
      return {
        id_token: await new SignJWT(whole).setProtectedHeader({ alg: "ES256", kid: "k" }).sign(privateKey),
      };
    }
    state.documents += 1;
    if (state.isAway) return {};
    const [jwks_uri, token_endpoint, authorization_endpoint] = ["jwks", "token", "auth"].map(
      (at) => `${issuer}/${at}`,
    );
    return { issuer, jwks_uri, token_endpoint, authorization_endpoint };
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = {
    issuer,
    clientId: "console",
    audiences: ["console"],
    scopes: ["openid", "offline_access"],
    sessionMs: 60_000,
    rules: [],
  };
  const signIn = createBrowserSignIn({
    provider: createProvider(config, log),
    publicAddress: () => ({ host: "fleet.example.com", port: 8443 }),
    logIn: () =>
      Promise.resolve({ secret: "at_1.secret", token: { expiresAt: new Date(Date.now() + 60_000) } }),
    now: () => new Date(state.nowMs),
    log,
  });
  return { signIn, issuer, claims, forms, state };
}

/** Goes to the provider: what it is asked for, and the cookie that stays with the browser. */
async function begin({ signIn }: World, to: string) {
  const answer = await signIn.begin(new URLSearchParams({ to }));
  assert.ok("location" in answer);
  const cookie = answer.cookies[0]?.split(";", 1)[0] ?? "";
  return { asked: new URL(answer.location).searchParams, cookie, set: answer.cookies[0] ?? "" };
}

const comeBack = (asked: URLSearchParams, change: Readonly<Record<string, string>> = {}) =>
  new URLSearchParams({ code: "c", state: asked.get("state") ?? "", ...change });

test("a browser comes back with a code, and gets the cookie of its session and nothing of the provider", async (t) => {
  const world = await startWorld(t);
  const { asked, cookie, set } = await begin(world, "/rollouts/ro_1");
  assert.match(set, /Max-Age=600; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
  assert.equal(asked.get("redirect_uri"), "https://fleet.example.com:8443/console/callback");
  assert.equal(asked.get("scope"), "openid", "nothing that outlives the session");
  assert.equal(asked.get("code_challenge_method"), "S256");
  world.claims["nonce"] = asked.get("nonce");
  const answer = await world.signIn.end(comeBack(asked), cookie);
  assert.ok("location" in answer, JSON.stringify(answer));
  assert.equal(answer.location, "/rollouts/ro_1");
  assert.match(
    answer.cookies[0] ?? "",
    /^__Host-falconry-8443=at_1\.secret; Max-Age=\d+; .*SameSite=Strict$/,
  );
  assert.match(answer.cookies[1] ?? "", /^__Host-falconry-login=; Max-Age=0/);
  assert.ok((world.forms[0]?.get("code_verifier")?.length ?? 0) >= 43);
});

test("what is not of the sign-in that this browser began signs nobody in", async (t) => {
  const world = await startWorld(t);
  const { asked, cookie } = await begin(world, "/");
  const why = async (query: URLSearchParams, kept: string): Promise<string> => {
    const answer = await world.signIn.end(query, kept);
    return "why" in answer ? answer.why : "signed in";
  };
  assert.match(await why(comeBack(asked), ""), /not the sign-in/, "no cookie");
  assert.match(await why(comeBack(asked, { state: "guessed" }), cookie), /not the sign-in/);
  assert.match(
    await why(comeBack(asked), "__Host-falconry-login=e30"),
    /not the sign-in/,
    "a cookie without a flow",
  );
  assert.match(
    await why(comeBack(asked, { iss: "https://other.example.com" }), cookie),
    /Another identity provider/,
  );
  const refused = new URLSearchParams({ error: "access_denied", state: asked.get("state") ?? "" });
  assert.match(await why(refused, cookie), /refused: access_denied/);
  assert.equal(world.forms.length, 0, "the provider was not asked for any of these");
  world.claims["nonce"] = "of another sign-in";
  assert.match(await why(comeBack(asked), cookie), /of another sign-in/);
});

test("nobody is sent on to another place than a page of the console", async (t) => {
  const world = await startWorld(t);
  for (const to of [
    "https://evil.example.com",
    "//evil.example.com",
    "/\\evil.example.com",
    "/console/login",
    // What no header can hold.
    "/clusters/\u65e5",
    "/clusters/a\r\nset-cookie: b=c",
  ]) {
    const { asked, cookie } = await begin(world, to);
    world.claims["nonce"] = asked.get("nonce");
    const answer = await world.signIn.end(comeBack(asked), cookie);
    assert.ok("location" in answer);
    assert.equal(answer.location, "/");
  }
});

test("a flood of sign-ins is none for the provider, whether it is there or away", async (t) => {
  const { signIn, state } = await startWorld(t);
  const flood = async () => {
    const answers = [await signIn.begin(new URLSearchParams()), await signIn.begin(new URLSearchParams())];
    return answers.map((answer) => "location" in answer);
  };
  state.isAway = true;
  assert.deepEqual(await flood(), [false, false]);
  assert.equal(state.documents, 1);
  state.isAway = false;
  state.nowMs += 10_001;
  assert.deepEqual(await flood(), [true, true]);
  assert.equal(state.documents, 2);
  state.nowMs += 600_001;
  assert.deepEqual(await flood(), [true, true]);
  assert.equal(state.documents, 3);
});
