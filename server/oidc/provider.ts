import { createRemoteJWKSet, customFetch, errors, jwtVerify, type JWTVerifyGetKey } from "jose";
import type { Logger } from "pino";

import type { Claims } from "../domain/login.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { OidcConfig } from "./config.ts";
import { fetchBounded } from "./fetch.ts";

/** Vouches for people: checks what their identity provider signed. */
export interface Provider extends OidcConfig {
  /** The claims of a token that the provider made for us and that is valid now. */
  readonly verify: (token: string, now: Date) => Promise<Outcome<Claims>>;
}

/** For tests: how soon keys are asked for again when a token names one that is not known. */
export interface Patience {
  readonly cooldownMs: number;
}

/** Signatures by a private key only: none, and nothing where the verifier's key could sign. */
const algorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
const tokenCharsMax = 16 * 1024;
const clockToleranceSeconds = 30;
/** A key that the provider drops is trusted for so long. */
const keysKeptMs = 600_000;
const documentKeptMs = 24 * 3_600_000;

/** Nothing is fetched before the first login, so a provider that is away keeps no server from starting. */
export function createProvider(
  config: OidcConfig,
  log: Logger,
  { cooldownMs }: Patience = { cooldownMs: 10_000 },
): Provider {
  const keys = createKeys(config.issuer, cooldownMs);
  return {
    ...config,
    verify: async (token, now) => {
      if (token.length > tokenCharsMax) return unauthenticated(`is longer than ${tokenCharsMax} characters`);
      try {
        const { payload, protectedHeader } = await jwtVerify(token, await keys(now), {
          issuer: config.issuer,
          audience: [...config.audiences],
          algorithms,
          clockTolerance: clockToleranceSeconds,
          currentDate: now,
          requiredClaims: ["sub", "exp", "iat"],
        });
        return checkClaims(payload, protectedHeader.typ ?? "JWT", config);
      } catch (error) {
        if (isOfToken(error)) return unauthenticated(`was refused: ${error.message}`);
        // The reason is for us; a stranger must not learn what our network looks like from it.
        log.warn(
          { err: error, issuer: config.issuer },
          "the keys of the identity provider cannot be fetched",
        );
        const why = "The keys of the identity provider cannot be fetched right now: try again";
        return refuse({ kind: "unavailable", why });
      }
    },
  };
}

/** What goes beyond signature, issuer, audience and times. */
function checkClaims(claims: Claims, type: string, { clientId }: OidcConfig): Outcome<Claims> {
  // A provider signs other things with the same keys and for the same audience, such as the end of a session.
  if (!/^(application\/)?(at\+)?jwt$/i.test(type) || claims["events"] !== undefined) {
    return unauthenticated("is neither an ID token nor an access token");
  }
  const { sub, aud, azp } = claims;
  if (typeof sub !== "string" || sub === "" || sub.length > 255) {
    return unauthenticated("names nobody: its sub is no text of 1 to 255 characters");
  }
  // A token for several audiences says to whom of them it was given.
  if (azp !== undefined && azp !== clientId) return unauthenticated("was given to another client (azp)");
  if (azp === undefined && Array.isArray(aud) && aud.length > 1) {
    return unauthenticated("is for several audiences and does not say to whom it was given (azp)");
  }
  return accept(claims);
}

/** Whether it is the token's fault. Everything else is between us and the provider. */
function isOfToken(error: unknown): error is Error {
  return (
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTExpired ||
    error instanceof errors.JWTClaimValidationFailed ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  );
}

function unauthenticated(what: string): Outcome<never> {
  return refuse({ kind: "unauthenticated", why: `The token of the identity provider ${what}` });
}

/**
 * The provider's keys, found by its discovery document. Both are kept, and asked for again only after a pause, however
 * many tokens name keys that nobody knows.
 */
function createKeys(issuer: string, cooldownMs: number): (now: Date) => Promise<JWTVerifyGetKey> {
  let found: { readonly keys: JWTVerifyGetKey; readonly untilMs: number } | undefined;
  let looking: Promise<JWTVerifyGetKey> | undefined;
  let failed: { readonly error: unknown; readonly untilMs: number } | undefined;
  const look = async (nowMs: number): Promise<JWTVerifyGetKey> => {
    try {
      const keys = createRemoteJWKSet(await discover(issuer, "jwks_uri"), {
        cacheMaxAge: keysKeptMs,
        cooldownDuration: cooldownMs,
        [customFetch]: patient(cooldownMs, (url) =>
          fetchBounded(url, "application/json, application/jwk-set+json"),
        ),
      });
      found = { keys, untilMs: nowMs + documentKeptMs };
      return keys;
    } catch (error) {
      failed = { error, untilMs: nowMs + cooldownMs };
      throw error;
    } finally {
      looking = undefined;
    }
  };
  return async (now) => {
    const nowMs = now.getTime();
    if (found !== undefined && nowMs < found.untilMs) return found.keys;
    if (failed !== undefined && nowMs < failed.untilMs) throw failed.error;
    return (looking ??= look(nowMs));
  };
}

/** The library asks again at once after a failure; a provider that is away is not asked by every stranger's token. */
function patient(
  cooldownMs: number,
  get: (url: string) => Promise<Response>,
): (url: string) => Promise<Response> {
  let failed: { readonly error: unknown; readonly until: number } | undefined;
  return async (url) => {
    if (failed !== undefined && performance.now() < failed.until) throw failed.error;
    try {
      return await get(url);
    } catch (error) {
      failed = { error, until: performance.now() + cooldownMs };
      throw error;
    }
  };
}

/** Where something of the provider is, in the words of the provider that the configuration names and of nobody else. */
export async function discover(
  issuer: string,
  what: "jwks_uri" | "authorization_endpoint" | "token_endpoint",
): Promise<URL> {
  const address = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const response = await fetchBounded(address, "application/json");
  if (response.status !== 200) throw new Error(`${address} answers ${response.status}`);
  const document: unknown = await response.json();
  const { issuer: named, [what]: found } = document as Readonly<Record<string, unknown>>;
  if (named !== issuer) throw new Error(`${address} is the document of another issuer: ${String(named)}`);
  const url = typeof found === "string" && URL.canParse(found) ? new URL(found) : undefined;
  if (url?.protocol !== "https:" && url?.origin !== new URL(issuer).origin) {
    throw new Error(`${address} names no https address for its ${what}`);
  }
  return url;
}
