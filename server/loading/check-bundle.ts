import { engineVersion } from "#engine";
import { checkContents, type ContentCounts } from "#layers";
import { checkEngine, type Bundle } from "#trust";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";

/** Findings are cut to this, so that a refusal fits the headers that some protocols carry it in. */
const findingsCharsMax = 4_000;

/**
 * Loads a bundle as agents will, with the layers that can apply together, so that a layer that breaks the rules of one team,
 * or contradicts another layer, is refused here and not found in a cluster. Answers with the counts of the base. For a thread of its
 * own: at the bounds of the rule language it takes minutes.
 */
export function checkBundleLoads(bundle: Bundle): Outcome<ContentCounts> {
  const engine = checkEngine(bundle, engineVersion);
  if (!engine.ok) return refuse({ kind: "precondition", why: engine.refusal.message });
  const contents = checkContents(bundle);
  if (contents.ok) return accept(contents.counts);
  return refuse({ kind: "invalid", problems: [{ field: "bundles", why: cut(contents.why) }] });
}

/** Findings in bounds. */
export function cut(text: string): string {
  if (text.length <= findingsCharsMax) return text;
  return `${text.slice(0, findingsCharsMax)}\n... and more: run fleetctl rules validate on the files`;
}
