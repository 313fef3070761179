import type { Configuration, TokenEndpointResponse } from "openid-client";
import { exitCodes, Failure, interrupted, refused } from "../failure.ts";
import { startReceiver } from "./receiver.ts";

/** What the server says about logging in. */
export interface LoginOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
}

/** What the provider gives for a person. */
export interface Grant {
  /** Proves to the server who it is. */
  readonly idToken: string;
  /** Gets the next ones without asking; undefined when the provider gives none. */
  readonly refreshToken?: string;
}

/** An identity provider that has been found. */
export interface Provider {
  /** The person's browser comes back to this machine with a code. */
  byBrowser(show: (url: string) => void, signal: AbortSignal): Promise<Grant>;
  /** The person confirms a short code on any device. */
  byDevice(show: (prompt: DevicePrompt) => void, signal: AbortSignal): Promise<Grant>;
  refresh(refreshToken: string): Promise<Grant>;
}

export interface DevicePrompt {
  readonly url: string;
  readonly code: string;
  /** The address with the code in it, for who can follow a link. */
  readonly whole?: string;
}

const timeoutSeconds = 15;

/** Reads what the provider says of itself. The library is loaded here: other commands need not wait for it. */
export async function findProvider({ issuer, clientId, scopes }: LoginOptions): Promise<Provider> {
  const client = await import("openid-client");
  const guarded = <T>(work: () => Promise<T>): Promise<T> => explained(issuer, work);
  const config = await guarded(() =>
    client.discovery(new URL(issuer), clientId, undefined, client.None(), {
      timeout: timeoutSeconds,
      // Only a provider on this machine is spoken to without TLS.
      execute: isLoopback(issuer) ? [client.allowInsecureRequests] : [],
    }),
  );
  const scope = scopes.join(" ");
  return {
    byBrowser: (show, signal) => guarded(() => byBrowser(config, scope, show, signal)),
    byDevice: (show, signal) =>
      guarded(async () => {
        const asked = await client.initiateDeviceAuthorization(config, { scope });
        const whole = asked.verification_uri_complete;
        const prompt = { url: asked.verification_uri, code: asked.user_code };
        show(whole === undefined ? prompt : { ...prompt, whole });
        return grantOf(await client.pollDeviceAuthorizationGrant(config, asked, undefined, { signal }));
      }),
    refresh: (refreshToken) =>
      guarded(async () => {
        const grant = grantOf(await client.refreshTokenGrant(config, refreshToken));
        // A provider that does not rotate them gives none anew.
        return grant.refreshToken === undefined ? { ...grant, refreshToken } : grant;
      }),
  };
}

/** Authorization code with PKCE: what comes back to this machine is worth nothing to whoever else sees it. */
async function byBrowser(
  config: Configuration,
  scope: string,
  show: (url: string) => void,
  signal: AbortSignal,
): Promise<Grant> {
  const client = await import("openid-client");
  const [verifier, state, nonce] = [
    client.randomPKCECodeVerifier(),
    client.randomState(),
    client.randomNonce(),
  ];
  const receiver = await startReceiver(state);
  try {
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: receiver.redirectUri,
      scope,
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      // Without being asked a person gives no access for later.
      ...(scope.split(" ").includes("offline_access") ? { prompt: "consent" } : {}),
    });
    show(url.href);
    const callback = await receiver.callback(signal);
    const tokens = await client.authorizationCodeGrant(config, callback, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
    return grantOf(tokens);
  } finally {
    receiver.close();
  }
}

function grantOf({ id_token: idToken, refresh_token: refreshToken }: TokenEndpointResponse): Grant {
  if (idToken === undefined) throw new Error("it gave no ID token: its client has to have the scope openid");
  return refreshToken === undefined ? { idToken } : { idToken, refreshToken };
}

function isLoopback(issuer: string): boolean {
  return /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(issuer);
}

/** Failures in the words of whoever logs in. */
async function explained<T>(issuer: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure) throw error;
    const {
      name,
      message,
      error: code,
      error_description: description,
      cause,
    } = error as Error & {
      readonly error?: string;
      readonly error_description?: string;
    };
    if (name === "AbortError" || (cause as Error | undefined)?.name === "AbortError") {
      throw interrupted();
    }
    if (code !== undefined) {
      const why = description === undefined ? code : `${description} (${code})`;
      throw refused(`The identity provider ${issuer} refused: ${why}`, "fleetctl login --oidc");
    }
    const network = (cause as NodeJS.ErrnoException | undefined)?.code;
    if (name === "TypeError" && network !== undefined) {
      throw new Failure(exitCodes.away, `The identity provider ${issuer} cannot be reached (${network})`, [
        "Check the network; a CA of your own is trusted by NODE_EXTRA_CA_CERTS=FILE",
      ]);
    }
    const detail = cause instanceof Error ? `${message}: ${cause.message}` : message;
    throw refused(`Logging in at ${issuer} failed: ${detail}`, "fleetctl login --oidc");
  }
}
