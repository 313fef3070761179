import { type Alert, type AlertWriter, alertWriter } from "./alert.ts";
import { compileCondition, type Frame, type Predicate, Slots } from "./compile.ts";
import type { Detection, DetectorOptions } from "./detector.ts";
import type { EventView } from "./fields/field.ts";
import { JsonTape } from "./json/tape.ts";
import {
  type AuditRecordReader,
  type AuditRecordReaderOptions,
  type AuditRecords,
  createAuditRecordReader,
} from "./linux-audit/audit-record-reader.ts";
import type { SyscallEvent } from "./linux-audit/syscall-event.ts";
import { CheckFields, ConditionReach } from "./rule-reach.ts";
import type { CompiledRule, RuleSet } from "./ruleset.ts";
import { Undecided } from "./undecided.ts";

export interface RecordDetectorOptions
  extends
    Pick<DetectorOptions, "hostname" | "ruleMatching" | "compat" | "format" | "utcOffsetSeconds">,
    AuditRecordReaderOptions {}

/** Evaluates rules of the source `syscall` against the log of the Linux audit system. */
export interface RecordDetector {
  /** Takes one line of the log. Events are evaluated once their last record is there. Never throws, whatever the line. */
  detect(line: string): Detection;
  /** Evaluates the events that are still open: at the end of input, or when nothing has come for a while. */
  flush(): Detection;
  /** Evaluates an event that was put together elsewhere. */
  detectRecord(event: SyscallEvent): Detection;
}

interface Active {
  readonly name: string;
  readonly reach: ConditionReach;
  readonly matches: Predicate;
  readonly write: AlertWriter;
}

/** Prepares the enabled rules of the source `syscall`. Not safe to share between threads; make one for each. */
export function createRecordDetector(ruleset: RuleSet, options: RecordDetectorOptions): RecordDetector {
  return new SyscallDetector(ruleset, options);
}

class SyscallDetector implements RecordDetector {
  private readonly reader: AuditRecordReader;
  private readonly options: RecordDetectorOptions;
  private readonly statics: Readonly<Record<string, string>>;
  private readonly rules: readonly Active[];
  private readonly byType: Map<string, readonly Active[]>;
  private readonly tape: JsonTape;
  private readonly frame: Frame;
  private readonly undecided: Undecided;
  private firstTimeNs: bigint | undefined;
  private seen: bigint;

  constructor(ruleset: RuleSet, options: RecordDetectorOptions) {
    const compat = options.compat ?? "fixed";
    const slots = new Slots();
    const lookup = new CheckFields(compat);
    this.reader = createAuditRecordReader(options);
    this.options = options;
    this.statics = ruleset.statics ?? {};
    this.rules = ruleset.compiled
      .filter(({ enabled, source }) => enabled && source === "syscall")
      .map((rule: CompiledRule) => ({
        name: rule.name,
        reach: new ConditionReach(rule.condition, lookup),
        matches: compileCondition(rule.condition, slots, compat),
        write: alertWriter(rule, slots, compat, options.format),
      }));
    this.byType = new Map();
    this.tape = new JsonTape();
    this.tape.parse("{}");
    this.frame = { event: this.view(undefined), stamp: 0, values: [], stamps: [] };
    this.undecided = new Undecided();
    this.firstTimeNs = undefined;
    this.seen = 0n;
  }

  detect(line: string): Detection {
    return this.evaluate(this.reader.read(line));
  }

  flush(): Detection {
    return this.evaluate(this.reader.flush());
  }

  detectRecord(event: SyscallEvent): Detection {
    const { frame } = this;
    this.firstTimeNs ??= event.timeNs;
    this.seen += 1n;
    frame.event = this.view(event);
    frame.stamp++;
    const alerts: Alert[] = [];
    for (const { name, matches, write } of this.candidates(event.type)) {
      if (!this.undecided.matches(name, matches, frame)) continue;
      alerts.push({ ...write(frame), auditId: event.id });
      if (this.options.ruleMatching !== "all") break;
    }
    return { alerts, events: 1, problems: this.undecided.take() };
  }

  private evaluate({ events, problems }: AuditRecords): Detection {
    const detections = events.map((event) => this.detectRecord(event));
    return {
      alerts: detections.flatMap(({ alerts }) => alerts),
      events: events.length,
      problems: [...problems, ...detections.flatMap((one) => one.problems)],
    };
  }

  /** The rules that can match events of a type, in their order; worked out when the first such event comes. */
  private candidates(type: string): readonly Active[] {
    const before = this.byType.get(type);
    if (before !== undefined) return before;
    const rules = this.rules.filter(({ reach }) => reach.verdict(type) !== "false");
    this.byType.set(type, rules);
    return rules;
  }

  private view(event: SyscallEvent | undefined): EventView {
    const { options } = this;
    const timeNs = event?.timeNs ?? 0n;
    return {
      tape: this.tape,
      root: 0,
      isAudit: false,
      flat: { array: -1 },
      timeNs,
      firstTimeNs: this.firstTimeNs ?? timeNs,
      number: this.seen,
      source: "syscall",
      hostname: options.hostname,
      utcOffsetSeconds: Math.trunc(options.utcOffsetSeconds ?? 0),
      statics: this.statics,
      ...(event === undefined ? {} : { syscall: event }),
    };
  }
}
