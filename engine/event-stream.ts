import { createDetector, type Detection, type Detector, type DetectorOptions } from "./detector.ts";
import { decode } from "./json/strings.ts";
import { createRecordDetector, type RecordDetector } from "./record-detector.ts";
import type { RuleSet } from "./ruleset.ts";
import { keepRules } from "./select.ts";

/** Evaluates events of every source as they come, each by the rules of its source. */
export interface EventStream {
  /** Takes JSON (an Event, an EventList, an array) or lines of the Linux audit log. Never throws, whatever the text. */
  take(text: string): Detection;
  /** The same for one line that lies in `bytes` from `start` up to `end`, in UTF-8 and without its line break. */
  takeLine(bytes: Uint8Array, start: number, end: number): Detection;
  /** Evaluates what was still waiting for more: call it at the end of input. */
  end(): Detection;
}

const nothing: Detection = { alerts: [], events: 0, problems: [] };
const record = /^(?:node=\S+ )?type=\w+ msg=audit\(/;
const letterT = 0x74;
const letterN = 0x6e;

/** Whether a line is a record of the Linux audit log. */
export function isAuditRecord(line: string): boolean {
  return record.test(line);
}

/** Prepares the enabled rules for events of any source. Not safe to share between threads; make one for each. */
export function createEventStream(ruleset: RuleSet, options: DetectorOptions): EventStream {
  const ofSource = (isMeant: (source: string) => boolean): RuleSet =>
    keepRules(ruleset, ({ source, enabled }) => enabled && isMeant(source));
  const json: Detector = createDetector(
    ofSource((source) => source !== "syscall"),
    options,
  );
  let records: RecordDetector | undefined;
  const takeRecords = (text: string): Detection => {
    records ??= createRecordDetector(
      ofSource((source) => source === "syscall"),
      options,
    );
    const detector = records;
    return joined(text.split("\n").map((line) => detector.detect(line)));
  };
  return {
    take: (text) => (isAuditRecord(text) ? takeRecords(text) : json.detect(text)),
    takeLine: (bytes, start, end) => {
      const first = bytes[start];
      if (first !== letterT && first !== letterN) return json.detectBytes(bytes, start, end);
      const line = decode(bytes, start, end);
      return isAuditRecord(line) ? takeRecords(line) : json.detect(line);
    },
    end: () => records?.flush() ?? nothing,
  };
}

function joined(detections: readonly Detection[]): Detection {
  const [only] = detections;
  if (only !== undefined && detections.length === 1) return only;
  return {
    alerts: detections.flatMap(({ alerts }) => alerts),
    events: detections.reduce((sum, { events }) => sum + events, 0),
    problems: detections.flatMap(({ problems }) => problems),
  };
}
