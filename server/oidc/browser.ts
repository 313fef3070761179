import { createHash, randomBytes } from "node:crypto";

import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";

import { homeOf } from "../domain/console-address.ts";
import type { Claims } from "../domain/login.ts";
import { sentence } from "../domain/refusal.ts";
import { renderSessionCookie, sessionCookieName } from "../rpc/browser-session.ts";
import { fetchBounded } from "./fetch.ts";
import { discover, type Provider } from "./provider.ts";

/** Where a browser is sent next and what it keeps, or why it is not signed in, in words. */
export type SignInAnswer =
  | { readonly location: string; readonly cookies: readonly string[] }
  | { readonly why: string; readonly home: string };

/** How a browser signs in at the identity provider: it is sent there, and comes back with a code that the server exchanges. */
export interface BrowserSignIn {
  readonly begin: (query: URLSearchParams) => Promise<SignInAnswer>;
  readonly end: (query: URLSearchParams, cookie: string) => Promise<SignInAnswer>;
}

export interface BrowserSignInOptions {
  readonly provider: Provider;
  /** Where browsers reach this fleet. The provider is told this, never what a request says of itself. */
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  /** Makes a token of the fleet for a person. */
  readonly logIn: (
    claims: Claims,
  ) => Promise<{ readonly secret: string; readonly token: { readonly expiresAt: Date } }>;
  readonly now: () => Date;
  readonly log: Logger;
}

/** What a browser keeps while its person is at the provider. */
interface Flow {
  readonly state: string;
  readonly nonce: string;
  /** Its hash goes along (PKCE), so that the code is of use only to whoever has this cookie. */
  readonly verifier: string;
  readonly to: string;
}

const flowCookie = "__Host-falconry-login";
const flowSeconds = 600;
/** How long the provider's discovery document counts, and how long it is left alone when it could not be had. */
const [documentKeptMs, failureKeptMs] = [600_000, 10_000];
const random = () => randomBytes(32).toString("base64url");

/** The console's own addresses, which its script reads. They go into headers: only what an address is written in. */
export function isConsolePage(path: string): boolean {
  return /^\/(|(clusters|rollouts|bundles|rules|alerts|reports|audit)(\/[\x21-\x2e\x30-\x7e]{1,600})?)$/.test(
    path,
  );
}

/**
 * Authorization code with PKCE, state and nonce. The tokens of the provider stay on the server: no script in the browser
 * sees any of them, and the page's policy need not allow calls to the provider.
 */
export function createBrowserSignIn(given: BrowserSignInOptions): BrowserSignIn {
  const { provider, log } = given;
  const options = { ...given, find: rememberDiscovery(given) };
  const guarded = async (work: () => Promise<SignInAnswer>): Promise<SignInAnswer> => {
    try {
      return await work();
    } catch (error) {
      const isRefusal = error instanceof ConnectError;
      if (!isRefusal) log.warn({ err: error, issuer: provider.issuer }, "a browser could not be signed in");
      const away =
        "Signing in is not possible right now: the identity provider or the database cannot be reached";
      const why = isRefusal ? error.rawMessage : away;
      return { why, home: homeOf(options.publicAddress()) };
    }
  };
  return {
    begin: (query) => guarded(() => begin(options, query.get("to") ?? "")),
    end: (query, cookie) => guarded(() => end(options, query, readFlow(cookie))),
  };
}

type Find = (what: "authorization_endpoint" | "token_endpoint") => Promise<URL>;

interface Parts extends BrowserSignInOptions {
  readonly find: Find;
}

/** Anybody may ask for the way to the provider, as often as the rate allows: the provider is not asked each time. */
function rememberDiscovery({ provider, now }: BrowserSignInOptions): Find {
  const kept = new Map<string, { readonly found: Promise<URL>; readonly untilMs: number }>();
  return async (what) => {
    const nowMs = now().getTime();
    const before = kept.get(what);
    if (before !== undefined && nowMs < before.untilMs) return new URL(await before.found);
    const found = discover(provider.issuer, what);
    kept.set(what, { found, untilMs: nowMs + documentKeptMs });
    found.catch(() => kept.set(what, { found, untilMs: nowMs + failureKeptMs }));
    return new URL(await found);
  };
}

function redirectUriOf({ publicAddress }: BrowserSignInOptions): string {
  return `${homeOf(publicAddress())}console/callback`;
}

async function begin(options: Parts, to: string): Promise<SignInAnswer> {
  const { clientId, scopes } = options.provider;
  const page = isConsolePage(to) ? to : "/";
  const flow: Flow = { state: random(), nonce: random(), verifier: random(), to: page };
  const url = await options.find("authorization_endpoint");
  const asked = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUriOf(options),
    // A browser's session ends; nothing is asked for that would outlive it.
    scope: scopes.filter((scope) => scope !== "offline_access").join(" "),
    state: flow.state,
    nonce: flow.nonce,
    code_challenge: createHash("sha256").update(flow.verifier).digest("base64url"),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  return { location: url.href, cookies: [keepFlow(flow)] };
}

async function end(options: Parts, query: URLSearchParams, flow: Flow | undefined): Promise<SignInAnswer> {
  const { provider, publicAddress, logIn, now } = options;
  const refuseWith = (why: string): SignInAnswer => ({ why, home: homeOf(options.publicAddress()) });
  if (flow === undefined || query.get("state") !== flow.state) {
    return refuseWith("This is not the sign-in that this browser began, or it took longer than ten minutes");
  }
  // Who answers says who it is where it can (RFC 9207).
  if ((query.get("iss") ?? provider.issuer) !== provider.issuer) {
    return refuseWith("Another identity provider answered");
  }
  const code = query.get("code");
  if (code === null) {
    return refuseWith(`The identity provider refused: ${(query.get("error") ?? "no reason").slice(0, 80)}`);
  }
  const exchange = { code, redirectUri: redirectUriOf(options), verifier: flow.verifier };
  const claims = await provider.verify(await exchangeCode(options, exchange), now());
  if (!claims.ok) return refuseWith(sentence(claims.refusal));
  if (claims.value["nonce"] !== flow.nonce) return refuseWith("The token is of another sign-in");
  const made = await logIn(claims.value);
  const name = sessionCookieName(String(publicAddress().port));
  const kept = renderSessionCookie(name, made.secret, made.token.expiresAt, now());
  return { location: flow.to, cookies: [kept, forgetFlow] };
}

interface Exchange {
  readonly code: string;
  readonly redirectUri: string;
  readonly verifier: string;
}

async function exchangeCode(
  { provider: { clientId }, find }: Parts,
  { code, redirectUri, verifier }: Exchange,
): Promise<string> {
  const address = await find("token_endpoint");
  const form = new URLSearchParams({
    grant_type: "authorization_code",
    code,
    redirect_uri: redirectUri,
    client_id: clientId,
    code_verifier: verifier,
  });
  const response = await fetchBounded(address.href, "application/json", form);
  if (response.status !== 200) throw new Error(`${address.href} answers ${response.status}`);
  const { id_token: token } = (await response.json()) as Readonly<Record<string, unknown>>;
  if (typeof token !== "string") throw new Error(`${address.href} gives no ID token`);
  return token;
}

/** Lax, because the browser comes back from elsewhere, by a link. */
function keepFlow(flow: Flow): string {
  const value = Buffer.from(JSON.stringify(flow)).toString("base64url");
  return `${flowCookie}=${value}; Max-Age=${flowSeconds}; Path=/; Secure; HttpOnly; SameSite=Lax`;
}

const forgetFlow = `${flowCookie}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax`;

function readFlow(cookie: string): Flow | undefined {
  const value = new RegExp(`(?:^|;\\s*)${flowCookie}=([\\w-]{1,2000})(?:;|$)`).exec(cookie)?.[1];
  if (value === undefined) return undefined;
  try {
    const flow = JSON.parse(Buffer.from(value, "base64url").toString()) as Readonly<Record<string, unknown>>;
    const [state, nonce, verifier, to] = ["state", "nonce", "verifier", "to"].map((name) => flow[name]);
    const isWhole = [state, nonce, verifier].every((each) => typeof each === "string" && each.length >= 32);
    if (!isWhole || typeof to !== "string" || !isConsolePage(to)) return undefined;
    return { state, nonce, verifier, to } as Flow;
  } catch {
    return undefined;
  }
}
