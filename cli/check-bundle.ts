import { checkContents } from "#layers";
import type { Bundle } from "#trust";
import { refused } from "./failure.ts";

/**
 * Loads what a bundle holds as agents would, with the layers that can apply together. Throws a failure with the findings, so
 * that a broken bundle is found before it is signed. Gives what a person should know beside that.
 */
export async function checkBundle(bundle: Bundle): Promise<readonly string[]> {
  const contents = checkContents(bundle);
  if (!contents.ok) throw refused(`The ${bundle.kind} bundle ${contents.why}`);
  if (contents.isComplete) return [];
  return [
    `Its layers can meet in more ways than the ${contents.combinations} that were tried: each alone, each with all that go with it, and small combinations. An agent that finds another one broken keeps the rules it has.`,
  ];
}
