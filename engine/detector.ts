import { type Alert, renderAlert } from "./alert.ts";
import { compileCondition, type Frame, type Predicate, type Read, Slots } from "./compile.ts";
import type { Compat, EventView } from "./fields/field.ts";
import { findEvents, type AuditEvent } from "./ingest.ts";
import { JsonProblem, JsonTape } from "./json/tape.ts";
import { valueText } from "./json/text.ts";
import { compileOutput, type Printer } from "./output.ts";
import { indexRules, type RuleIndex } from "./rule-index.ts";
import type { CompiledRule, RuleSet } from "./ruleset.ts";
import { formatTime } from "./time.ts";
import { utf8Length } from "./utf8.ts";

export interface DetectorOptions {
  /** Printed in alerts and given by `evt.hostname`. */
  readonly hostname: string;
  /** `first` stops at the first rule that matches, as Falco does by default. */
  readonly ruleMatching?: "first" | "all";
  /** `strict` repeats Falco's known mistakes; `fixed`, the default, repairs them. */
  readonly compat?: Compat;
  /** Larger events are dropped with a problem. Falco's own limit is 262144 bytes, which hides large requests. */
  readonly eventBytesMax?: number;
  /** Larger lines are dropped with a problem. */
  readonly lineBytesMax?: number;
}

/** What one line gave. */
export interface Detection {
  readonly alerts: readonly Alert[];
  /** Events that were evaluated. */
  readonly events: number;
  /** Why the line, or events in it, could not be evaluated. */
  readonly problems: readonly string[];
}

export interface Detector {
  /** Evaluates one line of JSON: an Event, an EventList or an array. Never throws, whatever the line. */
  detect(line: string): Detection;
}

/** An index whose fields are ready to be read. */
type Lookup = (frame: Frame) => readonly Active[];

interface Active {
  readonly rule: CompiledRule;
  readonly matches: Predicate;
  readonly printer: Printer;
}

const eventBytesDefault = 4 * 1024 * 1024;
const lineBytesDefault = 12_582_912;

/** Prepares the enabled rules for evaluation. Not safe to share between threads; make one for each. */
export function createDetector(ruleset: RuleSet, options: DetectorOptions): Detector {
  return new AuditDetector(ruleset, options);
}

class AuditDetector implements Detector {
  private readonly candidates: Lookup;
  private readonly options: Required<DetectorOptions>;
  private readonly tape: JsonTape;
  private readonly frame: Frame;
  private firstTimeNs: bigint | undefined;
  private seen: bigint;

  constructor(ruleset: RuleSet, options: DetectorOptions) {
    const compat = options.compat ?? "fixed";
    const slots = new Slots();
    this.options = {
      hostname: options.hostname,
      ruleMatching: options.ruleMatching ?? "first",
      compat,
      eventBytesMax: options.eventBytesMax ?? (compat === "strict" ? 262_144 : eventBytesDefault),
      lineBytesMax: options.lineBytesMax ?? lineBytesDefault,
    };
    const active = ruleset.compiled
      .filter((rule) => rule.enabled)
      .map((rule) => ({
        rule,
        matches: compileCondition(rule.condition, slots, compat),
        printer: compileOutput(rule.output, slots, compat),
      }));
    const index = indexRules(active, ({ rule }) => rule.condition, compat);
    this.candidates = lookup(index, slots);
    this.tape = new JsonTape();
    this.frame = { event: this.view({ root: 0, timeNs: 0n }, 0n), stamp: 0, values: [], stamps: [] };
    this.firstTimeNs = undefined;
    this.seen = 0n;
  }

  detect(line: string): Detection {
    if (line.trim() === "") return { alerts: [], events: 0, problems: [] };
    const { lineBytesMax, eventBytesMax } = this.options;
    if (line.length * 3 > lineBytesMax && utf8Length(line) > lineBytesMax) {
      return rejected(`line dropped: larger than ${lineBytesMax} bytes`);
    }
    let root: number;
    try {
      root = this.tape.parse(line);
    } catch (error) {
      if (error instanceof JsonProblem) return rejected(`cannot parse JSON: ${error.message}`);
      throw error;
    }
    const payload = findEvents(this.tape, root, eventBytesMax);
    const alerts = payload.events.flatMap((event) => this.evaluate(event));
    return { alerts, events: payload.events.length, problems: payload.problems };
  }

  private evaluate(event: AuditEvent): readonly Alert[] {
    const { frame } = this;
    this.firstTimeNs ??= event.timeNs;
    this.seen += 1n;
    frame.event = this.view(event, this.seen);
    frame.stamp++;
    const alerts: Alert[] = [];
    for (const active of this.candidates(frame)) {
      if (!active.matches(frame)) continue;
      alerts.push(this.alert(active, frame));
      if (this.options.ruleMatching === "first") break;
    }
    return alerts;
  }

  private view({ root, timeNs }: AuditEvent, number: bigint): EventView {
    const { tape, options } = this;
    return {
      tape,
      root,
      isAudit: tape.member(root, "auditID") >= 0,
      timeNs,
      firstTimeNs: this.firstTimeNs ?? timeNs,
      number,
      source: "k8s_audit",
      hostname: options.hostname,
    };
  }

  private alert({ rule, printer }: Active, frame: Frame): Alert {
    const { event } = frame;
    const time = formatTime(event.timeNs);
    const id = event.isAudit ? valueText(event.tape, event.tape.member(event.root, "auditID")) : "";
    const parts = {
      rule: rule.name,
      priority: rule.priority,
      source: rule.source,
      tags: rule.tags,
      time,
      output: `${time.slice(11, -1)}: ${rule.priority} ${printer.print(frame)}`,
      auditId: id,
    };
    const fields = printer.fields.map(({ key, read }) => ({ key, value: read(frame) }));
    return { ...parts, body: renderAlert({ ...parts, hostname: event.hostname, fields }) };
  }
}

function rejected(problem: string): Detection {
  return { alerts: [], events: 0, problems: [problem] };
}

/** Turns an index into a function that gives the rules an event could match, in order. */
function lookup(index: RuleIndex<Active>, slots: Slots): Lookup {
  if (index.kind === "leaf") return () => index.rules;
  const read: Read = slots.read(index.field);
  const byValue = new Map([...index.byValue].map(([value, below]) => [value, lookup(below, slots)]));
  const otherwise = lookup(index.otherwise, slots);
  return (frame) => {
    const value = read(frame);
    return ((typeof value === "string" ? byValue.get(value) : undefined) ?? otherwise)(frame);
  };
}
