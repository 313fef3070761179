import type { FieldPath } from "../field-path.ts";
import type { LokiConfig, LokiLabel } from "../http-config.ts";
import type { OptionTable, Options } from "../options.ts";
import type { Place } from "../problem.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";
import { endpointOptions, readEndpoint, readPath } from "./endpoint.ts";
import { readPath as readFieldPath } from "./filter-common.ts";

const perPod = 'the fields that are to be labels have to be named, with "label_keys"';

const table: OptionTable = {
  ...outputOptions,
  ...endpointOptions,
  uri: "used",
  tenant_id: "used",
  labels: "used",
  label_keys: "used",
  structured_metadata: "used",
  remove_keys: "used",
  line_format: "used",
  drop_single_key: "used",
  auto_kubernetes_labels: { refused: `labels of pods would make streams without number: ${perPod}` },
  label_map_path: { refused: `a config may not read a file on the node: ${perPod}` },
  structured_metadata_map_keys: { refused: 'name the fields one by one, with "structured_metadata"' },
  tenant_id_key: {
    refused: 'a record may not choose its tenant: use "tenant_id", and one output per tenant',
  },
  http_api_key: { refused: 'use "bearer_token" or "header"' },
};

/** `loki`, over its JSON push interface. */
export const loki: Plugin<LokiConfig> = {
  name: "loki",
  options: table,
  read(options, alias) {
    const labels = [...readPairs(options, "labels", "job=fluent-bit"), ...readLabelKeys(options)];
    checkLabels(options, labels);
    return {
      ...readOutputBase(options, alias),
      ...readEndpoint(options, { plain: 3100, tls: 3100 }),
      plugin: "loki",
      uri: readPath(options, "uri", "/loki/api/v1/push"),
      tenantId: readTenant(options),
      labels,
      metadata: readPairs(options, "structured_metadata", ""),
      removed: [
        ...readList(options, "remove_keys").map(({ path }) => path),
        ...labels.flatMap((label) => ("path" in label ? [label.path] : [])),
      ],
      lineFormat: options.oneOf("line_format", ["json", "key_value"], "json"),
      dropSingleKey: readDropSingleKey(options),
    };
  },
};

/** A label of Prometheus: what is none is made one, as in Fluent Bit. */
function labelName(text: string): string {
  const name = text.replaceAll(/[^A-Za-z0-9_]/g, "_");
  return /^[0-9]/.test(name) ? `_${name}` : name;
}

/** `a=b, c=$field, $field['inner']`: constants, and fields under a name or under their own. */
function readPairs(options: Options, key: string, otherwise: string): readonly LokiLabel[] {
  const found: LokiLabel[] = [];
  const entries = options.entries(key);
  if (entries.length === 0 && otherwise !== "") options.assume(key, otherwise);
  const texts = entries.length === 0 ? [otherwise] : entries.map(({ value }) => value);
  for (const [index, text] of texts.entries()) {
    const place = entries[index] ?? options.section;
    // Split before variables are filled in, so that no value can become two labels.
    for (const part of splitList(text)) {
      const equals = part.startsWith("$") ? -1 : part.indexOf("=");
      const name = equals === -1 ? undefined : part.slice(0, equals).trim();
      const label = readPair(options, key, name, part.slice(equals + 1).trim(), place);
      if (label !== undefined) found.push(label);
    }
  }
  return found;
}

function readPair(
  options: Options,
  key: string,
  name: string | undefined,
  value: string,
  place: Place,
): LokiLabel | undefined {
  if (/^\$[^{]/.test(value)) {
    const path = readFieldPath(options, place, value);
    return { name: labelName(name ?? nameOf(path)), path };
  }
  if (name === undefined || name === "") {
    options.refuse(place, `"${key}" holds "${value}" and has to hold NAME=VALUE, NAME=$FIELD or $FIELD`);
    return undefined;
  }
  return { name: labelName(name), value: options.expand(value, place).text };
}

/** Fields by their own names; without a `$` the whole is a top-level key. */
function readList(
  options: Options,
  key: string,
): readonly { readonly name: string; readonly path: FieldPath }[] {
  return options.entries(key).flatMap((entry) =>
    splitList(options.expand(entry.value, entry).text).map((part) => {
      const path = readFieldPath(options, entry, part);
      return { name: labelName(nameOf(path)), path };
    }),
  );
}

function readLabelKeys(options: Options): readonly LokiLabel[] {
  for (const entry of options.entries("label_keys")) {
    const bare = splitList(entry.value).find((part) => !part.startsWith("$"));
    if (bare === undefined) continue;
    options.refuse(entry, `"label_keys" holds "${bare}" and fields begin with $: write $${bare}`);
  }
  return readList(options, "label_keys");
}

function nameOf(path: FieldPath): string {
  return path
    .map((step) => (step.kind === "key" ? step.name : step.kind === "index" ? step.index : ""))
    .join("_");
}

/** Commas within brackets belong to a field. */
function splitList(text: string): readonly string[] {
  const parts = text.match(/(?:\[[^\]]*\]|[^,[])+/g) ?? [];
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

const labelsMax = 15;

function checkLabels(options: Options, labels: readonly LokiLabel[]): void {
  const names = labels.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) options.refuse(options.section, `The label "${twice}" is there twice: keep one`);
  if (labels.length > labelsMax) {
    options.refuse(options.section, `${labels.length} labels are more than the ${labelsMax} that Loki takes`);
  }
}

function readTenant(options: Options): string | undefined {
  const tenant = options.text("tenant_id", "");
  if (tenant === "") return undefined;
  if (!/^[\x21-\x7e]{1,150}$/.test(tenant)) {
    options.refuse(
      options.entry("tenant_id") ?? options.section,
      `"tenant_id" is "${tenant}" and has to be one word`,
    );
  }
  return tenant;
}

function readDropSingleKey(options: Options): LokiConfig["dropSingleKey"] {
  const written = options.text("drop_single_key", "off").toLowerCase();
  if (written === "raw") return "raw";
  return options.boolean("drop_single_key", false) ? "on" : "off";
}
