import {
  bundleFilesMax,
  bundleKinds,
  bundleLayersMax,
  layerLevels,
  type Bundle,
  type BundleFile,
  type BundleKind,
  type Layer,
  type LayerLevel,
} from "./bundle-types.ts";
import { accept, quote, refuse, type Checked } from "./checked.ts";
import { isList, isObject, showJson, unknownKeys, type Json, type JsonObject } from "./json.ts";
import type { LayerRelease } from "./layer-release.ts";
import { isLabelKey, isLabelValue, isName, isPath, isVersion } from "./names.ts";

/** Collects every problem, so that an author mends a bundle in one round. */
type Problems = string[];

const problemsShownMax = 10;
const enginePattern = /^>=\d{1,5}\.\d{1,5}\.\d{1,5}$/;

/** Checks the shape of a bundle; a refusal lists what is wrong, where, and what would be right. */
export function readBundle(json: Json): Checked<Bundle> {
  if (!isObject(json)) return refuse("trust/invalid-bundle", "bundle is not a JSON object");
  const problems: Problems = [];
  noUnknown(json, ["format", "org", "kind", "name", "version", "requires", "files", "layers"], "", problems);
  if (json["format"] !== 1) {
    problems.push(`format is ${showJson(json["format"])}; this version reads format 1`);
  }
  const org = nameAt(json, "org", problems);
  const kind = bundleKinds.find((known) => known === json["kind"]);
  if (kind === undefined) problems.push(`kind is ${showJson(json["kind"])}; expected rules or shipper`);
  const name = nameAt(json, "name", problems);
  const version = versionAt(json, problems);
  const requires = readRequires(json["requires"], problems);
  const files = readFiles(json["files"], "files", problems);
  const layers = readLayers(json["layers"], problems);
  for (const { path } of files) {
    if (path.startsWith("layers/")) problems.push(`files: ${quote(path)}: "layers/" is kept for layers`);
  }
  const count = layers.reduce((sum, layer) => sum + layer.files.length, files.length);
  if (count > bundleFilesMax) problems.push(`${count} files; at most ${bundleFilesMax} are accepted`);
  if (count === 0) problems.push("no files");
  if (problems.length > 0) return refuse("trust/invalid-bundle", describe("bundle", name, version, problems));
  const base = { format: 1 as const, org, kind: kind as BundleKind, name, version };
  return accept({ ...base, ...(requires === undefined ? {} : { requires }), files, layers });
}

/** The same for a release of a layer, which is files alone: who may release it says where it applies. */
export function readLayerRelease(json: Json): Checked<LayerRelease> {
  if (!isObject(json)) return refuse("trust/invalid-bundle", "layer release is not a JSON object");
  const problems: Problems = [];
  noUnknown(json, ["format", "org", "kind", "name", "version", "requires", "files"], "", problems);
  if (json["format"] !== 1) {
    problems.push(`format is ${showJson(json["format"])}; this version reads format 1`);
  }
  const org = nameAt(json, "org", problems);
  if (json["kind"] !== "layer") problems.push(`kind is ${showJson(json["kind"])}; expected layer`);
  const name = nameAt(json, "name", problems);
  const version = versionAt(json, problems);
  const requires = readRequires(json["requires"], problems);
  const files = readFiles(json["files"], "files", problems);
  if (files.length === 0) problems.push("no files");
  if (problems.length > 0) {
    return refuse("trust/invalid-bundle", describe("layer release", name, version, problems));
  }
  const base = { format: 1 as const, kind: "layer" as const, org, name, version };
  return accept({ ...base, ...(requires === undefined ? {} : { requires }), files });
}

function versionAt(json: JsonObject, problems: Problems): string {
  const version = json["version"];
  if (isVersion(version)) return version;
  problems.push(`version is ${showJson(version)}; expected a semantic version such as "1.4.0"`);
  return typeof version === "string" ? version : "";
}

function describe(what: string, name: string, version: string, problems: Problems): string {
  const shown = problems.slice(0, problemsShownMax).join("; ");
  const rest = problems.length - problemsShownMax;
  const id = name !== "" && version !== "" ? ` ${name}@${version.slice(0, 40)}` : "";
  return `${what}${id}: ${shown}${rest > 0 ? `; and ${rest} more` : ""}`;
}

function readRequires(json: Json | undefined, problems: Problems): Bundle["requires"] {
  if (json === undefined) return undefined;
  if (!isObject(json)) {
    problems.push("requires is not an object");
    return undefined;
  }
  noUnknown(json, ["engine"], "requires.", problems);
  const engine = json["engine"];
  if (engine === undefined) return {};
  if (typeof engine !== "string" || !enginePattern.test(engine)) {
    problems.push(`requires.engine is ${showJson(engine)}; expected a form such as ">=0.62.0"`);
    return {};
  }
  return { engine };
}

function readFiles(json: Json | undefined, where: string, problems: Problems): readonly BundleFile[] {
  const items = listAt(json, where, bundleFilesMax, problems);
  const seen = new Set<string>();
  const files: BundleFile[] = [];
  for (const [index, item] of items.entries()) {
    const place = `${where}[${index}]`;
    if (!isObject(item)) {
      problems.push(`${place} is not an object`);
      continue;
    }
    noUnknown(item, ["path", "content"], `${place}.`, problems);
    const { path, content } = item;
    if (!isPath(path)) {
      problems.push(
        `${place}.path is ${showJson(path)}; expected a relative path of plain parts such as "k8s/exec.yaml"`,
      );
      continue;
    }
    if (seen.has(path)) problems.push(`${place}.path ${quote(path)} occurs twice`);
    seen.add(path);
    if (typeof content !== "string" || !content.isWellFormed() || content.includes("\0")) {
      problems.push(`${place}.content of ${quote(path)} is not text (well-formed Unicode without NUL)`);
      continue;
    }
    files.push({ path, content });
  }
  return files;
}

function readLayers(json: Json | undefined, problems: Problems): readonly Layer[] {
  const seen = new Set<string>();
  const layers: Layer[] = [];
  for (const [index, item] of listAt(json, "layers", bundleLayersMax, problems).entries()) {
    const place = `layers[${index}]`;
    if (!isObject(item)) {
      problems.push(`${place} is not an object`);
      continue;
    }
    noUnknown(item, ["name", "level", "selector", "files"], `${place}.`, problems);
    const name = nameAt(item, "name", problems, `${place}.`);
    const level = layerLevels.find((known) => known === item["level"]);
    if (level === undefined) {
      problems.push(
        `${place}.level is ${showJson(item["level"])}; expected one of ${layerLevels.join(", ")}`,
      );
    }
    const id = `${level}-${name}`;
    if (seen.has(id)) problems.push(`${place}: layer ${quote(id)} occurs twice`);
    seen.add(id);
    const selector = readSelector(item["selector"], `${place}.selector`, level, problems);
    const files = readFiles(item["files"], `${place}.files`, problems);
    if (files.length === 0) problems.push(`${place} has no files`);
    layers.push({ name, level: level ?? "base", selector, files });
  }
  return layers;
}

function readSelector(
  json: Json | undefined,
  where: string,
  level: LayerLevel | undefined,
  problems: Problems,
): Layer["selector"] {
  if (!isObject(json)) {
    problems.push(`${where} is not an object of label: value`);
    return {};
  }
  const entries = Object.entries(json);
  if (entries.length > 16) problems.push(`${where} has ${entries.length} labels; at most 16 are accepted`);
  if (entries.length === 0 && level !== "base") {
    problems.push(`${where} is empty and would match every cluster; name a label, or use level "base"`);
  }
  for (const [label, value] of entries) {
    if (!isLabelKey(label)) problems.push(`${where}: ${quote(label)} is not a label name`);
    if (!isLabelValue(value)) {
      problems.push(
        `${where}: ${quote(label)} is ${showJson(value)}; expected a label value such as "payments"`,
      );
    }
  }
  return json as Layer["selector"];
}

function listAt(json: Json | undefined, where: string, max: number, problems: Problems): readonly Json[] {
  if (!isList(json)) {
    problems.push(`${where} is not a list`);
    return [];
  }
  if (json.length > max) {
    problems.push(`${where} has ${json.length} entries; at most ${max} are accepted`);
    return [];
  }
  return json;
}

function nameAt(json: JsonObject, key: string, problems: Problems, prefix = ""): string {
  const value = json[key];
  if (isName(value)) return value;
  problems.push(
    `${prefix}${key} is ${showJson(value)}; expected 1 to 63 of a-z, 0-9 and "-", such as "team-payments"`,
  );
  return "";
}

function noUnknown(json: JsonObject, known: readonly string[], prefix: string, problems: Problems): void {
  for (const key of unknownKeys(json, known).slice(0, problemsShownMax)) {
    problems.push(`unknown field ${quote(`${prefix}${key}`)}`);
  }
}
