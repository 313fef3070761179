import {
  createEventStream,
  type EventStream,
  loadRules,
  type LoadReport,
  type RulesFile,
  type RuleSet,
} from "#engine";
import type { EngineChoice } from "./engine-choice.ts";

/** Rules files and what came of loading them. */
export interface LoadedRules {
  readonly report: LoadReport;
  readonly files: readonly RulesFile[];
  /** Whether what a rule says of an event cannot depend on the events before it. */
  readonly isStateless: boolean;
}

/** A set of rules with its detectors takes some megabytes. */
const entriesMax = 32;

/** Loads each set of rules once for all tests that share it, and makes few detectors for them. */
export class RulesCache {
  private readonly engine: EngineChoice;
  private readonly loaded: Map<string, LoadedRules>;
  private readonly detectors: Map<RuleSet, Map<"first" | "all", EventStream>>;

  constructor(compat: "fixed" | "strict", { load, detector }: EngineChoice) {
    this.engine = { load: { ...load, compat }, detector: { ...detector, compat } };
    this.loaded = new Map();
    this.detectors = new Map();
  }

  /** `key` names the files and their inline texts; `read` is called when they are not known yet. */
  loadFiles(key: string, read: () => readonly RulesFile[], minimumPriority: string | undefined): LoadedRules {
    const whole = `${minimumPriority ?? ""}\n${key}`;
    const known = this.loaded.get(whole);
    if (known !== undefined) return known;
    const files = read();
    const { load } = this.engine;
    const report = loadRules(files, minimumPriority === undefined ? load : { ...load, minimumPriority });
    const entry = { files, report, isStateless: isStateless(report.ruleset) };
    this.loaded.set(whole, entry);
    const [oldest] = this.loaded.keys();
    if (this.loaded.size > entriesMax && oldest !== undefined) {
      this.detectors.delete(this.loaded.get(oldest)?.report.ruleset ?? entry.report.ruleset);
      this.loaded.delete(oldest);
    }
    return entry;
  }

  /** A detector that no test before has left a trace in. */
  detector(
    { report: { ruleset }, isStateless: isShared }: LoadedRules,
    wanted: "first" | "all" | undefined,
  ): EventStream {
    const ruleMatching = wanted ?? this.engine.detector.ruleMatching;
    const create = (): EventStream =>
      createEventStream(ruleset, { hostname: "test", ...this.engine.detector, ruleMatching });
    if (!isShared) return create();
    const known = this.detectors.get(ruleset)?.get(ruleMatching);
    if (known !== undefined) return known;
    const detector = create();
    const detectors = this.detectors.get(ruleset) ?? new Map<"first" | "all", EventStream>();
    this.detectors.set(ruleset, detectors.set(ruleMatching, detector));
    return detector;
  }
}

/** None of the rules, and nothing that configuration adds to them, counts events or joins them. */
function isStateless({ rules, compiled }: RuleSet): boolean {
  const counting = /\bevt\.(?!time|rawtime|hostname|source|pluginname|plugininfo)/;
  const outputs = compiled.map(({ output, extraFields = [] }) => JSON.stringify([output, extraFields]));
  return (
    rules.every(({ source, condition }) => source === "k8s_audit" && !counting.test(condition)) &&
    !outputs.some((output) => counting.test(output))
  );
}
