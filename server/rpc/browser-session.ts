import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";

/**
 * The console's credential lies in a cookie that no script can read, so that text which became code by some mistake of ours
 * cannot take it away. What makes a browser send it does not make the call count: that takes a header of our own, which
 * pages of other origins may send only after a question that we never answer (CORS).
 */
export const consoleHeader = "x-falconry-console";

const sessionMsMax = 12 * 3_600_000;
const tokenPattern = /^Bearer +([\x21-\x3a\x3c-\x7e]{1,256})$/i;

/** The credential that the browser keeps, of a call that the console made. */
export function readSessionCookie(headers: Headers): string | undefined {
  const name = cookieName(headers);
  if (name === undefined || !isSameOrigin(headers)) return undefined;
  for (const pair of (headers.get("cookie") ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (at !== -1 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

/** The Set-Cookie that keeps the credential of a call until it expires, and for half a day at most. */
export function startedCookie(headers: Headers, expiresAt: Date, now: Date): Outcome<string> {
  const token = tokenPattern.exec(headers.get("authorization") ?? "")?.[1];
  const name = cookieName(headers);
  if (name === undefined) return noHeader;
  if (token === undefined) {
    const why = "The call has no Authorization header whose credential could be kept";
    return refuse({ kind: "precondition", why });
  }
  return accept(renderSessionCookie(name, token, expiresAt, now));
}

/** The Set-Cookie that has the browser forget. */
export function endedCookie(headers: Headers): Outcome<string> {
  const name = cookieName(headers);
  return name === undefined ? noHeader : accept(`${name}=; Max-Age=0; ${attributes}`);
}

/** Cookies belong to a host and not to a port, and a machine may have two fleets: the name tells them apart. */
export function sessionCookieName(port: string): string {
  return `__Host-falconry-${port}`;
}

/** `__Host-` has browsers take it only from this very host, over TLS. */
export function renderSessionCookie(name: string, token: string, expiresAt: Date, now: Date): string {
  const ms = Math.min(expiresAt.getTime() - now.getTime(), sessionMsMax);
  return `${name}=${token}; Max-Age=${Math.max(0, Math.floor(ms / 1000))}; ${attributes}`;
}

const attributes = "Path=/; Secure; HttpOnly; SameSite=Strict";
const noHeader = invalid(consoleHeader, "has to be the port that the browser sees");

function cookieName(headers: Headers): string | undefined {
  const port = headers.get(consoleHeader) ?? "";
  return /^\d{1,5}$/.test(port) ? sessionCookieName(port) : undefined;
}

/** Browsers say where a request comes from, and no script can say it for them. */
function isSameOrigin(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  return site === null || site === "same-origin";
}
