import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Metafile } from "esbuild";

/** A package of somebody else of which something is in a bundle. */
export interface Part {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** The texts of its licence and notice files, as the package has them. */
  readonly texts: readonly string[];
}

/** The packages of which anything is in the bundles, by name and version. */
export function partsOf(root: string, metafiles: readonly Metafile[]): readonly Part[] {
  const inputs = metafiles.flatMap(({ outputs }) => Object.values(outputs).flatMap(usedInputs));
  const folders = new Set(inputs.flatMap((input) => packageFolder(input) ?? []));
  const parts = [...folders].map((folder) => partIn(join(root, folder)));
  const unique = new Map(parts.map((part) => [`${part.name}@${part.version}`, part]));
  return [...unique.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** The notices that the bundles have to come with. */
export function renderNotices(parts: readonly Part[]): string {
  const head =
    "The programs of Falconry are licensed under Apache-2.0 (LICENSE). These packages of others are in them,\n" +
    "in whole or in part, under licences of their own:\n";
  const list = parts.map((part) => `  ${keyOf(part)}: ${part.licence}`).join("\n");
  const texts = parts.map((part) => [rule, keyOf(part), "", ...part.texts].join("\n"));
  return [head, list, "", ...texts, ""].join("\n");
}

const rule = "-".repeat(80);
const keyOf = ({ name, version }: Part): string => `${name}@${version}`;

function usedInputs({ inputs }: Metafile["outputs"][string]): readonly string[] {
  return Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : []));
}

/** `node_modules/a/node_modules/@b/c` of a path below it. */
function packageFolder(path: string): string | undefined {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
}

function partIn(folder: string): Part {
  const file = join(folder, "package.json");
  if (!existsSync(file)) throw new Error(`${folder} is in a bundle, and has no package.json`);
  const { name, version, license } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  const files = readdirSync(folder, { withFileTypes: true }).filter(
    (entry) => entry.isFile() && /^(licen[cs]e|copying|notice)\b/i.test(entry.name),
  );
  const names = files.map((entry) => entry.name).toSorted();
  const texts = names.map((text) => readFileSync(join(folder, text), "utf8").trim());
  const licence = typeof license === "string" ? license : "unknown";
  const found =
    texts.length > 0 ? texts : [inReadme(folder) ?? `The package holds no text of its licence, ${licence}.`];
  return { name: String(name), version: String(version), licence, texts: found };
}

/** Some packages have their licence at the end of their README alone. */
function inReadme(folder: string): string | undefined {
  const file = readdirSync(folder).find((name) => /^readme\b/i.test(name));
  if (file === undefined) return undefined;
  return /^#+ licen[cs]e\b[^]*copyright[^]*/im.exec(readFileSync(join(folder, file), "utf8"))?.[0].trim();
}
