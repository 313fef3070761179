/** A metric as it is exposed to Prometheus. */
export interface Exposed {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Names of labels in the order in which they stand; empty when there is no sample to see them in. */
  readonly labels: readonly string[];
  readonly hasSamples: boolean;
}

/** The metrics in Prometheus text, by the lines that say what they are. */
export function readExposition(text: string): readonly Exposed[] {
  const lines = text.split("\n");
  return lines.flatMap((line) => {
    const [, name = "", type = ""] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (name === "") return [];
    const help = lines.find((each) => each.startsWith(`# HELP ${name} `))?.slice(`# HELP ${name} `.length);
    const sample = new RegExp(`^${name}(?:_bucket|_sum|_count)?(?:\\{([^}]*)\\})? `);
    const samples = lines.flatMap((each) => sample.exec(each) ?? []).length > 0;
    const labels = new Set(
      lines.flatMap((each) => {
        const [, inBraces = ""] = sample.exec(each) ?? [];
        return [...inBraces.matchAll(/(\w+)="/g)].map(([, label = ""]) => label);
      }),
    );
    // Of a histogram or a summary, and not of what it measures.
    for (const own of ["le", "quantile"]) labels.delete(own);
    return [{ name, type, help: help ?? "", labels: [...labels], hasSamples: samples }];
  });
}
