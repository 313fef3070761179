/** Why something foreign was not accepted. Codes are stable: they appear in reports, logs and tests. */
export type TrustCode =
  | "trust/malformed"
  | "trust/too-large"
  | "trust/invalid-name"
  | "trust/invalid-bundle"
  | "trust/threshold-not-met"
  | "trust/unknown-key"
  | "trust/rollback"
  | "trust/expired"
  | "trust/not-yet-valid"
  | "trust/hash-mismatch"
  | "trust/length-mismatch"
  | "trust/version-mismatch"
  | "trust/incomplete"
  | "trust/wrong-org"
  | "trust/wrong-cluster"
  | "trust/stale-generation"
  | "trust/not-listed"
  | "trust/not-delegated"
  | "trust/beyond-delegation"
  | "trust/changed-target"
  | "trust/wrong-online-key"
  | "trust/wrong-pin"
  | "trust/wrong-host"
  | "trust/bad-signature"
  | "trust/wrong-passphrase"
  | "trust/engine-too-old";

/** A refusal names the thing, what was seen, what was expected, and what to do. */
export interface Refusal {
  readonly code: TrustCode;
  readonly message: string;
}

/** The result of looking at something that came from outside. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: Refusal };

/** The refusing half of {@link Checked}, assignable to a `Checked` of anything. */
export type Refused = Extract<Checked<never>, { ok: false }>;

export function accept<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function refuse(code: TrustCode, message: string): Refused {
  return { ok: false, refusal: { code, message } };
}

/** The text of whatever a library threw, for a refusal's message. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Shortens foreign text for a message and makes it printable. */
export function quote(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return JSON.stringify(shown);
}
