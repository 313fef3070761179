import { parser } from "@prometheus-io/lezer-promql";

/** The metrics that a query of Prometheus names. Throws when it is none. */
export function metricsIn(query: string): readonly string[] {
  const names: string[] = [];
  parser.parse(query).iterate({
    enter: ({ type, name, from, to, node }) => {
      if (type.isError) throw new Error(`No PromQL at ${from}: ${query}`);
      if (name === "Identifier" && node.parent?.name === "VectorSelector") names.push(query.slice(from, to));
    },
  });
  return names;
}

/** The metrics of docs/metrics.md, which a test holds equal to what is exposed, and what histograms are exposed as. */
export function knownMetrics(page: string): ReadonlySet<string> {
  const rows = [...page.matchAll(/^\| `(\S+)` \| (\w+) \|/gm)];
  const names = rows.flatMap(([, name = "", type = ""]) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
  // Of Prometheus itself: whether a scrape worked.
  return new Set([...names, "up"]);
}
