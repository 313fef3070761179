import { readFileSync } from "node:fs";

/** A section of Fluent Bit's classic format. Keys are lower case; the last value of a key counts. */
export interface Section {
  readonly kind: string;
  readonly values: ReadonlyMap<string, string>;
}

const common = ["name", "alias", "match", "match_regex", "tag", "retry_limit", "storage.type"];
/** The options of each plugin that tests write, as Fluent Bit 5.1 knows them. */
const known: Readonly<Record<string, readonly string[]>> = {
  tail: ["path", "parser", "db", "read_from_head", "refresh_interval", "rotate_wait", "buffer_chunk_size"],
  dummy: ["samples", "dummy", "rate", "copies"],
  modify: ["add", "set", "remove"],
  http: ["host", "port", "uri", "format", "json_date_key", "net.connect_timeout", "http.response_timeout"],
  null: [],
};
const more: Readonly<Record<string, readonly string[]>> = {
  tail: ["buffer_max_size", "skip_long_lines", "skip_empty_lines"],
  http: ["tls.verify"],
};

/** Reads a config; throws with the words of Fluent Bit over a key that the plugin does not know. */
export function readClassic(path: string): readonly Section[] {
  const sections: { kind: string; values: Map<string, string> }[] = [];
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) continue;
    const head = /^\[(\w+)\]$/.exec(text)?.[1];
    if (head !== undefined) sections.push({ kind: head.toLowerCase(), values: new Map() });
    else {
      const [key = "", ...rest] = text.split(/\s+/);
      sections.at(-1)?.values.set(key.toLowerCase(), rest.join(" "));
    }
  }
  for (const section of sections) check(section);
  return sections;
}

function check({ kind, values }: Section): void {
  if (!["input", "filter", "output"].includes(kind)) return;
  const name = values.get("name") ?? "";
  const options = known[name];
  if (options === undefined) throw new Error(`[config] ${kind}: unknown plugin '${name}'`);
  const all = [...common, ...options, ...(more[name] ?? [])];
  const odd = [...values.keys()].find((key) => !all.includes(key));
  if (odd === undefined) return;
  throw new Error(
    `[config] ${name}: unknown configuration property '${odd}'. The following properties are allowed: ${all.join(", ")}`,
  );
}
