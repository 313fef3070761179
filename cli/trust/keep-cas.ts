import { X509Certificate } from "node:crypto";
import type { Wanted } from "../connection.ts";
import { changeContexts, contextsPath, parseCa } from "../contexts.ts";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Has the stored context trust these CAs and no others. They came over a connection that its present CA vouches for.
 * Answers with the context's name when it changed; a context of the environment is not ours to change.
 */
export async function keepCas(
  wanted: Wanted,
  env: Env,
  pems: readonly string[],
): Promise<string | undefined> {
  const isFromEnv = (env["FLEETCTL_TOKEN"] ?? "") !== "" && wanted.context === undefined;
  if (isFromEnv || pems.length === 0) return undefined;
  const ca = parseCa(pems.join("\n"), "The answer of the server");
  let changed: string | undefined;
  await changeContexts(contextsPath(env), (stored) => {
    const name = wanted.context ?? stored.current;
    const context = name === undefined ? undefined : stored.contexts[name];
    if (name === undefined || context === undefined) return undefined;
    if (marksOf(ca) === marksOf(context.ca)) return undefined;
    changed = name;
    return { ...stored, contexts: { ...stored.contexts, [name]: { ...context, ca } } };
  });
  return changed;
}

function marksOf(pem: string): string {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks
    .map((block) => new X509Certificate(block).fingerprint256)
    .toSorted()
    .join();
}
