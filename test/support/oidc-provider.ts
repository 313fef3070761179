import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { Provider } from "oidc-provider";

/** Who can log in, and what the provider says of them. */
const people: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  ada: { email: "ada@example.com", email_verified: true, groups: ["fleet-admins"] },
  bob: { email: "bob@example.com", email_verified: true, groups: ["everyone", "payments"] },
  eve: { email: "ada@example.com", email_verified: false, groups: ["everyone"] },
};

export interface TestProvider {
  readonly issuer: string;
  /** The key it signs with now, private and public. */
  readonly key: { readonly jwk: JWK; readonly publicJwk: JWK; readonly kid: string };
  /** A token as the provider would sign it, with changes. */
  sign(
    change?: Readonly<Record<string, unknown>>,
    header?: { readonly typ?: string; readonly kid?: string },
  ): Promise<string>;
  /** From now on another key signs, and the old one is not published any more. */
  rotate(): Promise<void>;
  /** How often its keys were fetched. */
  readonly keyFetches: () => number;
}

/** The provider of the npm package `oidc-provider` on loopback, with its own forms for logging in. */
export async function startOidcProvider(
  t: TestContext,
  /** Where browsers may be sent back to, besides a native client on loopback. */
  webRedirectUris: readonly string[] = [],
): Promise<TestProvider> {
  let handle: RequestListener = (_request, response) => void response.writeHead(503).end();
  let keyFetches = 0;
  const server = createServer((request, response) => {
    if (request.url === "/jwks") keyFetches += 1;
    handle(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let count = 0;
  const makeKey = async () => {
    count += 1;
    const kid = `key-${count}`;
    const pair = await generateKeyPair("RS256", { extractable: true });
    const fields = { kid, use: "sig", alg: "RS256" };
    const jwk = { ...(await exportJWK(pair.privateKey)), ...fields };
    const publicJwk = { ...(await exportJWK(pair.publicKey)), ...fields };
    handle = serving(issuer, jwk, webRedirectUris);
    return { kid, jwk, publicJwk, privateKey: pair.privateKey };
  };
  let key = await makeKey();
  return {
    issuer,
    get key() {
      return key;
    },
    sign: (change = {}, header = {}) => {
      const now = Math.floor(Date.now() / 1000);
      const claims = { iss: issuer, aud: "fleetctl", sub: "ada", iat: now, exp: now + 300, ...people["ada"] };
      return new SignJWT({ ...claims, ...change })
        .setProtectedHeader({ alg: "RS256", kid: key.kid, ...header })
        .sign(key.privateKey);
    },
    rotate: async () => {
      key = await makeKey();
    },
    keyFetches: () => keyFetches,
  };
}

function serving(issuer: string, jwk: JWK, webRedirectUris: readonly string[]): RequestListener {
  const client = {
    application_type: "native" as const,
    token_endpoint_auth_method: "none" as const,
    grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    response_types: ["code" as const],
    redirect_uris: ["http://127.0.0.1/callback"],
  };
  const web = {
    ...client,
    client_id: "console",
    application_type: "web" as const,
    redirect_uris: [...webRedirectUris],
  };
  const provider = new Provider(issuer, {
    clients: [
      { ...client, client_id: "fleetctl" },
      { ...client, client_id: "another" },
      ...(webRedirectUris.length === 0 ? [] : [web]),
    ],
    jwks: { keys: [jwk] },
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["only for tests"] },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  });
  const handle = provider.callback();
  return (request, response) => void handle(request, response);
}

/** Plays a person in a browser: follows redirects, keeps cookies, and fills in every form until none comes. */
export async function browse(address: string, person: string): Promise<string> {
  const jar = new Map<string, string>();
  let url = new URL(address);
  let form: URLSearchParams | undefined;
  for (let step = 0; step < 30; step += 1) {
    const response = await fetch(url, {
      method: form === undefined ? "GET" : "POST",
      redirect: "manual",
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form === undefined ? {} : { body: form }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (value === "") jar.delete(name);
      else jar.set(name, value);
    }
    const page = await response.text();
    const location = response.headers.get("location");
    form = location === null ? fill(page, person) : undefined;
    if (location === null && form === undefined) return page;
    const action = location ?? /<form[^>]*action="([^"]*)"/.exec(page)?.[1] ?? "";
    url = new URL(action.replaceAll("&amp;", "&"), url);
  }
  throw new Error(`The browser was sent around for too long; it is at ${url.href}`);
}

/** The first form of a page, filled in; undefined when there is none. */
function fill(page: string, person: string): URLSearchParams | undefined {
  if (!page.includes("<form")) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of page.matchAll(/<input[^>]*>/g)) {
    const name = /\bname="([^"]*)"/.exec(input)?.[1];
    const value = /\bvalue="([^"]*)"/.exec(input)?.[1];
    if (name === "login") fields.set(name, person);
    else if (name === "password") fields.set(name, "any");
    else if (name !== undefined && value !== undefined) fields.set(name, value);
  }
  if (page.includes('name="confirm"')) fields.set("confirm", "yes");
  return fields;
}
