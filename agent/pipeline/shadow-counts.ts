import type { Alert, ShadowFinding } from "#engine";

/** What a candidate gave so far, as it is reported. */
export interface ShadowFigures extends ShadowSums {
  readonly state: "evaluating" | "done" | "stopped";
  /** A stable code; empty when nothing is wrong. */
  readonly reason: string;
  readonly detail: string;
}

interface ShadowSums {
  readonly sinceMs: number;
  readonly events: number;
  readonly skipped: number;
  readonly undecided: number;
  readonly failures: number;
  readonly evaluationUs: number;
  /** Those that differ most first. */
  readonly rules: readonly ShadowRuleFigures[];
  readonly rulesLeftOut: number;
}

export interface ShadowRuleFigures {
  readonly rule: string;
  readonly now: number;
  readonly candidate: number;
  readonly new: number;
  readonly gone: number;
  readonly samples: readonly ShadowSample[];
}

/** The output fields of an alert that would be new, or gone. */
export interface ShadowSample {
  readonly isGone: boolean;
  /** As the alert says it. */
  readonly time: string;
  readonly fields: Readonly<Record<string, string>>;
}

type Counts = { -readonly [K in keyof Omit<ShadowRuleFigures, "samples">]: ShadowRuleFigures[K] } & {
  readonly samples: ShadowSample[];
};

const rulesMax = 200;
const samplesPerRule = 3;
const samplesMax = 40;
const fieldsMax = 12;
const charsMax = 128;

/** Counts per rule, over events that both rules that run and the candidate have evaluated. Bounded by the rules there are. */
export class ShadowCounts {
  skipped = 0;
  failures = 0;
  evaluationMs = 0;
  readonly #sinceMs: number;
  readonly #rules = new Map<string, Counts>();
  #events = 0;
  #undecided = 0;
  #samples = 0;

  constructor(sinceMs: number) {
    this.#sinceMs = sinceMs;
  }

  /** One event. `sample` is asked only for alerts that are kept. */
  add(
    now: readonly Alert[],
    { matches, problems }: ShadowFinding,
    sample: (alert: Alert) => ShadowSample["fields"],
  ): void {
    this.#events += 1;
    this.#undecided += problems.length;
    if (now.length === 0 && matches.length === 0) return;
    for (const alert of now) {
      const counts = this.#of(alert.rule);
      counts.now += 1;
      if (matches.some(({ rule }) => rule === alert.rule)) continue;
      counts.gone += 1;
      this.#keep(counts, true, () => alert, sample);
    }
    for (const match of matches) {
      const counts = this.#of(match.rule);
      counts.candidate += 1;
      if (now.some(({ rule }) => rule === match.rule)) continue;
      counts.new += 1;
      this.#keep(counts, false, match.write, sample);
    }
  }

  figures(): ShadowSums {
    const differing = ({ new: added, gone, candidate }: Counts) => [added + gone, candidate] as const;
    const rules = [...this.#rules.values()].toSorted((a, b) => {
      const [x, y] = [differing(a), differing(b)];
      return y[0] - x[0] || y[1] - x[1] || (a.rule < b.rule ? -1 : 1);
    });
    return {
      sinceMs: this.#sinceMs,
      events: this.#events,
      skipped: this.skipped,
      undecided: this.#undecided,
      failures: this.failures,
      evaluationUs: Math.round(this.evaluationMs * 1000),
      rules: rules.slice(0, rulesMax).map((counts) => ({ ...counts, samples: [...counts.samples] })),
      rulesLeftOut: Math.max(0, rules.length - rulesMax),
    };
  }

  #of(rule: string): Counts {
    const known = this.#rules.get(rule);
    if (known !== undefined) return known;
    const counts: Counts = { rule, now: 0, candidate: 0, new: 0, gone: 0, samples: [] };
    this.#rules.set(rule, counts);
    return counts;
  }

  #keep(
    counts: Counts,
    isGone: boolean,
    write: () => Alert,
    sample: (alert: Alert) => ShadowSample["fields"],
  ): void {
    if (counts.samples.length >= samplesPerRule || this.#samples >= samplesMax) return;
    this.#samples += 1;
    const alert = write();
    counts.samples.push({ isGone, time: alert.time, fields: sample(alert) });
  }
}

/** Fields that carry what somebody sent or was answered, rather than who did what: their length says enough. */
const bodyFields =
  /^(?:jevt\.|json\.|ka\.uri|ka\.re(?:q|sp)\.(?!.*\.(?:image|name|subresource|type)$)|proc\.(?:cmdline|args|exeline|env)|evt\.(?:args|buffer))/;

/** The output fields of an alert, cut short. Never its text, its body or its event. */
export function sampleOf(alert: Alert, hidesValues: boolean): ShadowSample["fields"] {
  const { output_fields: fields = {} } = JSON.parse(alert.body) as {
    readonly output_fields?: Readonly<Record<string, unknown>>;
  };
  const shown = Object.entries(fields)
    .slice(0, fieldsMax)
    .map(([name, value]) => [name.slice(0, charsMax), shownValue(name, value, hidesValues)]);
  return Object.fromEntries(shown) as ShadowSample["fields"];
}

function shownValue(name: string, value: unknown, hidesValues: boolean): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (hidesValues) return "(hidden)";
  return bodyFields.test(name) ? `(${text.length} characters)` : text.slice(0, charsMax);
}
