import type { Refusal as TrustRefusal } from "#trust";

import type { Refusal } from "./domain/refusal.ts";

/** What makes input unreadable, whatever the state of the server. */
const unreadable: readonly TrustRefusal["code"][] = [
  "trust/malformed",
  "trust/too-large",
  "trust/invalid-name",
  "trust/invalid-bundle",
];

/** What the trust room refused, in the server's words: broken input is the caller's, everything else is about order. */
export function fromTrust(field: string, refusal: TrustRefusal): Refusal {
  const why = `${refusal.message} (${refusal.code})`;
  if (unreadable.includes(refusal.code)) return { kind: "invalid", problems: [{ field, why }] };
  return { kind: "precondition", why };
}
