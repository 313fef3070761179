import type { RequestKind } from "#engine";
import { singleEvents } from "./payloads.ts";
import { keyOf } from "./rule-coverage.ts";

/** How often each kind of request occurs. */
export type RequestCounts = ReadonlyMap<string, { readonly kind: RequestKind; readonly events: number }>;

/** Names in a request are the client's to choose, so their number is bounded. */
const kindsMax = 20_000;

/** Counts the kinds of request in recorded events; what is no audit event is left out. */
export async function countRequests(batches: AsyncIterable<readonly string[]>): Promise<RequestCounts> {
  const counts = new Map<string, { kind: RequestKind; events: number }>();
  for await (const batch of batches) {
    for (const text of singleEvents(batch)) {
      const kind = kindOf(text);
      if (kind === undefined) continue;
      const key = keyOf(kind);
      const known = counts.get(key);
      if (known !== undefined) known.events++;
      else if (counts.size < kindsMax) counts.set(key, { kind, events: 1 });
    }
  }
  return counts;
}

function kindOf(text: string): RequestKind | undefined {
  let event: { verb?: unknown; objectRef?: { resource?: unknown; subresource?: unknown } } | null;
  try {
    event = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof event !== "object" || event === null || typeof event.verb !== "string") return undefined;
  const word = (value: unknown): string => (typeof value === "string" ? value : "");
  const { resource, subresource } = event.objectRef ?? {};
  return { verb: event.verb, resource: word(resource), subresource: word(subresource) };
}
