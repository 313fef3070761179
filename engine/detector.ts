import { type ActiveRule, auditRules, indexRules } from "./active-rule.ts";
import type { Alert, AlertFormat } from "./alert.ts";
import { type Frame, Slots } from "./compile.ts";
import { type EnvelopeChoice, envelopeProblems, openEnvelope } from "./envelopes/open-envelope.ts";
import type { Compat } from "./fields/field.ts";
import { type ShownEvent, shownBytes, shownEvent, shownLines } from "./hidden-events.ts";
import { findEvents } from "./ingest.ts";
import { JsonBytes } from "./json/bytes.ts";
import { kinds } from "./json/document.ts";
import { decode } from "./json/strings.ts";
import { JsonProblem, JsonTape } from "./json/tape.ts";
import { LiveEvent } from "./live-event.ts";
import { isPlainTime } from "./plain-time.ts";
import type { RuleIndex } from "./rule-index.ts";
import type { CompiledRule, RuleSet } from "./ruleset.ts";
import { type Onlooker, ShadowRules } from "./shadow.ts";
import { Undecided } from "./undecided.ts";
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
  /** Which envelopes of clouds are opened when a line is no audit event itself. Default `auto`: all that are known. */
  readonly envelope?: EnvelopeChoice;
  /** How alerts are written. */
  readonly format?: AlertFormat;
  /** East of UTC: `evt.time`, `evt.datetime` and the time of day in front of an output are in this zone. Default 0. */
  readonly utcOffsetSeconds?: number;
}

/** What one line gave. */
export interface Detection {
  readonly alerts: readonly Alert[];
  /** Events that were evaluated. */
  readonly events: number;
  /** Why the line, or events in it, or rules, could not be evaluated. */
  readonly problems: readonly string[];
}

export interface Detector {
  /** Evaluates one line of JSON: an Event, an EventList or an array. Never throws, whatever the line. */
  detect(line: string): Detection;
  /**
   * The same for the line that lies in `bytes` from `start` up to `end`, in UTF-8 and without its line break. A plain event is
   * read where it lies and, when no rule matches, leaves nothing behind. With `shown`, conditions look at the line, and what
   * alerts print is read from the other one.
   */
  detectBytes(bytes: Uint8Array, start: number, end: number, shown?: ShownLine): Detection;
  /**
   * From now on, `onlooker` is told of each event and may have the candidate evaluated on it, too; what is detected stays
   * the same. Ends with {@link Detector.endShadow}, or with another candidate.
   */
  shadow(candidate: Pick<RuleSet, "compiled">, onlooker: Onlooker): void;
  endShadow(): void;
}

/** Where in the same bytes the same line stands with some of its values hidden. */
export interface ShownLine {
  readonly start: number;
  readonly end: number;
}

const eventBytesDefault = 4 * 1024 * 1024;
const lineBytesDefault = 12_582_912;

/** Prepares the enabled rules for evaluation. Not safe to share between threads; make one for each. */
export function createDetector(ruleset: RuleSet, options: DetectorOptions): Detector {
  return new AuditDetector(ruleset, options);
}

class AuditDetector implements Detector {
  private readonly rules: readonly CompiledRule[];
  private readonly options: Required<DetectorOptions>;
  private readonly tape: JsonTape;
  private scanner: JsonBytes | undefined;
  private readonly event: LiveEvent;
  private frame: Frame;
  private slots: Slots;
  private index: RuleIndex<ActiveRule>;
  private readonly undecided: Undecided;
  private besides: Beside | undefined;
  /** Frames of shown events have stamps of their own, which no other frame has. */
  private shownStamp: number;

  constructor(ruleset: RuleSet, options: DetectorOptions) {
    const compat = options.compat ?? "fixed";
    this.options = {
      hostname: options.hostname,
      ruleMatching: options.ruleMatching ?? "first",
      compat,
      eventBytesMax: options.eventBytesMax ?? (compat === "strict" ? 262_144 : eventBytesDefault),
      lineBytesMax: options.lineBytesMax ?? lineBytesDefault,
      envelope: options.envelope ?? "auto",
      format: options.format ?? {},
      utcOffsetSeconds: Math.trunc(options.utcOffsetSeconds ?? 0),
    };
    this.rules = auditRules(ruleset.compiled);
    this.tape = new JsonTape();
    this.scanner = undefined;
    this.event = new LiveEvent(this.tape, { ...this.options, statics: ruleset.statics });
    this.frame = newFrame(this.event);
    this.slots = new Slots();
    this.index = indexRules(this.rules, this.slots, this.options);
    this.undecided = new Undecided();
    this.besides = undefined;
    this.shownStamp = firstShownStamp;
  }

  shadow(candidate: Pick<RuleSet, "compiled">, onlooker: Onlooker): void {
    const rules = new ShadowRules(candidate, this.slots, this.options);
    this.besides = { candidate, rules, onlooker };
  }

  endShadow(): void {
    this.besides = undefined;
  }

  detect(line: string): Detection {
    return this.detectIn(line, this.options.envelope);
  }

  private detectIn(line: string, envelope: EnvelopeChoice, shown?: string): Detection {
    if (line.trim() === "") return nothing;
    const { lineBytesMax, eventBytesMax } = this.options;
    if (line.length * 3 > lineBytesMax && utf8Length(line) > lineBytesMax) return tooLong(lineBytesMax);
    let root: number;
    try {
      root = this.tape.parse(line);
    } catch (error) {
      if (error instanceof JsonProblem) return rejected(`cannot parse JSON: ${error.message}`);
      throw error;
    }
    const payload = findEvents(this.tape, root, eventBytesMax);
    const opened = payload.events.length > 0 ? undefined : openEnvelope(this.tape, root, envelope);
    if (opened !== undefined) {
      const hidden = shown === undefined ? [] : shownLines(shown, envelope, opened.events.length);
      const all = opened.events.map((event, at) => this.detectIn(event, "none", hidden[at]));
      return {
        alerts: all.flatMap(({ alerts }) => alerts),
        events: all.reduce((sum, { events }) => sum + events, 0),
        problems: [...envelopeProblems(opened), ...all.flatMap(({ problems }) => problems)],
      };
    }
    const alerts = payload.events.flatMap(({ root: node, timeNs }, at) => {
      this.event.take(this.tape, node, timeNs);
      const { length } = payload.events;
      return this.evaluate(
        shown === undefined ? undefined : () => shownEvent(shown, at, length, eventBytesMax),
      );
    });
    return {
      alerts,
      events: payload.events.length,
      problems: [...payload.problems, ...this.undecided.take()],
    };
  }

  detectBytes(bytes: Uint8Array, start: number, end: number, shown?: ShownLine): Detection {
    if (end - start > this.options.lineBytesMax) return tooLong(this.options.lineBytesMax);
    // Made for the first line of bytes: it is large, and a detector that is given texts does not need it.
    this.scanner ??= new JsonBytes();
    if (!this.scanner.scan(bytes, start, end) || !this.takeEvent(this.scanner)) {
      const hidden = shown && decode(bytes, shown.start, shown.end);
      return this.detectIn(decode(bytes, start, end), this.options.envelope, hidden);
    }
    const alerts = this.evaluate(shown && (() => shownBytes(bytes, shown.start, shown.end)));
    const problems = this.undecided.take();
    return alerts.length === 0 && problems.length === 0 ? miss : { alerts, events: 1, problems };
  }

  /** Takes the scanned text as one plain event; false when it is anything else, or its time needs a closer look. */
  private takeEvent(tape: JsonBytes): boolean {
    const kind = tape.member(0, "kind");
    if (kind < 0 || !tape.is(kind, "Event")) return false;
    const stamp = tape.member(0, "stageTimestamp");
    if (stamp < 0 || tape.kind(stamp) !== kinds.string) return false;
    if (!isPlainTime(tape.bytes, tape.start(stamp), tape.end(stamp))) return false;
    if (tape.end(0) - tape.start(0) > this.options.eventBytesMax) return false;
    this.event.takeUnread(tape, 0, stamp);
    return true;
  }

  /** `shown` gives the event that alerts are written from, when it is not the one that rules look at. */
  private evaluate(shown?: () => ShownEvent): readonly Alert[] {
    const { frame } = this;
    if (frame.stamp++ > stampMax || this.shownStamp < -stampMax) this.renew();
    let alerts: Alert[] | undefined;
    for (const { rule, matches } of this.index.candidates(this.frame)) {
      if (!this.undecided.matches(rule.name, matches, this.frame)) continue;
      alerts ??= [];
      alerts.push(rule.write(shown === undefined ? frame : this.shownFrame(shown())));
      if (this.options.ruleMatching === "first") break;
    }
    this.lookBeside(alerts ?? none, shown);
    return alerts ?? none;
  }

  private lookBeside(alerts: readonly Alert[], shown: (() => ShownEvent) | undefined): void {
    if (this.besides === undefined) return;
    const { rules, onlooker } = this.besides;
    const { frame } = this;
    onlooker(alerts, () =>
      rules.evaluate(frame, () => (shown === undefined ? frame : this.shownFrame(shown()))),
    );
  }

  private shownFrame({ tape, root }: ShownEvent): Frame {
    return { ...newFrame(this.event.readFrom(tape, root)), stamp: this.shownStamp-- };
  }

  /** Stamps start again once they are no small numbers any more; nothing that was stored under an old one may be left. */
  private renew(): void {
    this.frame = newFrame(this.event);
    this.slots = new Slots();
    this.index = indexRules(this.rules, this.slots, this.options);
    this.shownStamp = firstShownStamp;
    if (this.besides !== undefined) this.shadow(this.besides.candidate, this.besides.onlooker);
  }
}

/** Rules that are evaluated beside those that run. */
interface Beside {
  readonly candidate: Pick<RuleSet, "compiled">;
  readonly rules: ShadowRules;
  readonly onlooker: Onlooker;
}

/** Below what stands for no stamp at all. */
const firstShownStamp = -2;

const stampMax = 2 ** 30 - 2;
const none: readonly never[] = [];
const nothing: Detection = { alerts: none, events: 0, problems: none };
/** What nearly every event gives: one answer for all of them. */
const miss: Detection = { alerts: none, events: 1, problems: none };

function newFrame(event: LiveEvent): Frame {
  return { event, stamp: 0, values: [], stamps: [] };
}

function tooLong(lineBytesMax: number): Detection {
  return rejected(`line dropped: larger than ${lineBytesMax} bytes`);
}

function rejected(problem: string): Detection {
  return { alerts: none, events: 0, problems: [problem] };
}
