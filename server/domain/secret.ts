import { refuse, accept, type Outcome } from "./refusal.ts";

/** A bearer secret taken apart: the id finds the row, the secret is only ever compared by its hash. */
export interface Credential {
  readonly id: string;
  readonly secret: string;
}

/** What the store knows about a token. Times in milliseconds since 1970. */
export interface TokenState {
  readonly expiresAtMs: number;
  readonly isRevoked: boolean;
}

/** ID.SECRET with our 43 characters of base64url: somebody pastes a whole token where its id belongs. */
const pasted = /\.[\w-]{43}(?![\w-])/g;

/** A text in which no secret of ours is left, for whatever is kept or shown. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(pasted, ".[secret]");
}

/** Takes ID.SECRET apart; undefined when it does not have that form. Nothing foreign is longer than 200 characters. */
export function parseCredential(prefix: string, text: string): Credential | undefined {
  if (text.length > 200) return undefined;
  const match = /^([a-z]{2}_[0-9a-z]{1,32})\.([A-Za-z0-9_-]{16,120})$/.exec(text);
  const [, id, secret] = match ?? [];
  if (id === undefined || secret === undefined || !id.startsWith(`${prefix}_`)) return undefined;
  return { id, secret };
}

/** Whether a token whose secret was right may still be used; `what` names it in the refusal. */
export function judgeToken(what: string, token: TokenState, nowMs: number): Outcome<true> {
  if (token.isRevoked) return refuse({ kind: "unauthenticated", why: `The ${what} was revoked` });
  if (token.expiresAtMs <= nowMs) {
    const at = secondsText(nowMs - token.expiresAtMs);
    return refuse({ kind: "unauthenticated", why: `The ${what} expired ${at} ago: ask for a new one` });
  }
  return accept(true);
}

function secondsText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
