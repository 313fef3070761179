import { withoutSecrets } from "./secret.ts";

/** What an action is called in the audit log before it has a place there. */
export interface AuditFacts {
  readonly actor: AuditActor;
  readonly method: string;
  readonly target: string;
  readonly request: Readonly<Record<string, string>>;
  /** "ok", or the code of the refusal. */
  readonly outcome: string;
  readonly why: string;
}

export interface AuditActor {
  readonly kind: "operator" | "agent" | "join-token" | "issuer" | "server" | "command";
  readonly id: string;
  readonly name: string;
  readonly role: string;
}

const charsMax = { name: 200, value: 400, why: 400 };
const fieldsMax = 24;

/** The facts in bounds, storable, and without anything that looks like a secret of ours. */
export function bounded(facts: AuditFacts): AuditFacts {
  const { actor, request } = facts;
  const entries = Object.entries(request).slice(0, fieldsMax);
  return {
    actor: { ...actor, id: clean(actor.id, charsMax.name), name: clean(actor.name, charsMax.name) },
    method: clean(facts.method, charsMax.name),
    target: clean(facts.target, charsMax.name),
    request: Object.fromEntries(
      entries.map(([key, value]) => [clean(key, charsMax.name), clean(value, charsMax.value)]),
    ),
    outcome: clean(facts.outcome, charsMax.name),
    why: clean(facts.why, charsMax.why),
  };
}

function clean(text: string, max: number): string {
  // Cut after the secret is gone, or half of one could be left.
  const shown = withoutSecrets(text.slice(0, 4 * max));
  const cut = shown.length > max ? `${shown.slice(0, max - 1)}…` : shown;
  // Postgres takes every character but NUL, and JSON no half of a pair.
  return cut.replaceAll("\0", "\u{FFFD}").toWellFormed();
}

/** How often the same refusal of the same caller is written: more than that says nothing new. */
const quietMs = 60_000;
const callersMax = 1_000;

/** Keeps one caller who is refused again and again from filling the log. */
export interface RefusalBrake {
  /** How many like it were left out before, when this one is to be written; undefined when it is not. */
  admit(key: string, nowMs: number): number | undefined;
}

export function createRefusalBrake(): RefusalBrake {
  const seen = new Map<string, { readonly sinceMs: number; leftOut: number }>();
  return {
    admit: (key, nowMs) => {
      const before = seen.get(key);
      if (before !== undefined && nowMs - before.sinceMs < quietMs) {
        before.leftOut += 1;
        return undefined;
      }
      seen.delete(key);
      seen.set(key, { sinceMs: nowMs, leftOut: 0 });
      const [oldest] = seen.keys();
      if (seen.size > callersMax && oldest !== undefined) seen.delete(oldest);
      return before?.leftOut ?? 0;
    },
  };
}
