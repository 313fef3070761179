import { commandIds, describeCommand } from "../../cli/catalogue.ts";

/** The source of `cli/manifest.ts` in a bundle: what all commands say of themselves, read when it is first asked for. */
export async function manifestSource(): Promise<string> {
  const facts = await Promise.all(commandIds().map(async (id) => [id, await describeCommand(id)] as const));
  // V8 reads JSON faster than code.
  const json = JSON.stringify(JSON.stringify(Object.fromEntries(facts)));
  return `export const manifest = JSON.parse(${json});`;
}
