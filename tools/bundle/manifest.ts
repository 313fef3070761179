import { commandIds, describeCommand } from "../../cli/catalogue.ts";

/** The sources that a bundle of fleetctl has otherwise: what its commands say of themselves, as data. */
export async function manifestSources(): Promise<Readonly<Record<string, string>>> {
  const facts = await Promise.all(commandIds().map(describeCommand));
  const summaries = facts.map(({ id, summary = "" }) => [id, summary] as const);
  return {
    "cli/manifest.ts": `export const manifest = ${asCode(Object.fromEntries(summaries))};`,
    "cli/manifest-facts.ts": `export const facts = ${asCode(Object.fromEntries(facts.map((each) => [each.id, each])))};`,
  };
}

/** V8 reads JSON faster than code. */
function asCode(value: object): string {
  return `JSON.parse(${JSON.stringify(JSON.stringify(value))})`;
}
