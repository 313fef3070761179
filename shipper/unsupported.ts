/** What to do instead of sections that Fluent Bit has and this pipeline does not, by their names in either format. */
const advice: Readonly<Record<string, string>> = {
  multiline_parsers:
    "a line is a record here, and what container runtimes cut is joined by multiline.parser cri or docker: let what " +
    "writes the log put each record into one line, as JSON",
  upstream_servers: "give each destination an output of its own, or name a load balancer as the host",
  plugins: "nothing can be loaded into the agent: use a supported plugin, or run Fluent Bit for this source",
  stream_processor: "use filters, or rules with the output detect",
  customs: "the agent reports to its own control plane",
  processors: "write them as filters whose match is the tag of this input (content_modifier is modify)",
};

const names: Readonly<Record<string, keyof typeof advice>> = {
  multiline_parser: "multiline_parsers",
  upstream: "upstream_servers",
  node: "upstream_servers",
  stream_task: "stream_processor",
  streams: "stream_processor",
  custom: "customs",
};

/** What to do instead of a section; undefined when Fluent Bit does not know it either. */
export function insteadOf(section: string): string | undefined {
  const name = section.toLowerCase();
  const key = Object.hasOwn(names, name) ? names[name] : name;
  return key !== undefined && Object.hasOwn(advice, key) ? advice[key] : undefined;
}

/** Why a section is refused, and what to do instead. */
export function refusalOf(section: string, shown: string, supported: string): string {
  const instead = insteadOf(section);
  const what = `Section ${shown} is not supported`;
  return instead === undefined ? `${what}. Supported sections: ${supported}` : `${what}: ${instead}`;
}

const filters: Readonly<Record<string, string>> = {
  kubernetes: "audit events name their objects, and cluster_facts says from which cluster they come",
  lua: "write the change as modify, nest, type_converter or mask",
  wasm: "write the change as modify, nest, type_converter or mask",
  multiline: "a line is a record: let what writes the log put each record into one line, as JSON",
  parser: "give the input a parser",
  rewrite_tag: "give each input its own tag, and outputs a match_regex",
  stdout: "write an output stdout",
};

/** What to do instead of a filter, as a sentence; undefined when there is nothing to say. */
export function insteadOfFilter(name: string): string | undefined {
  return Object.hasOwn(filters, name) ? ` Instead, ${filters[name]}.` : undefined;
}
