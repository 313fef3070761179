import { castCluster } from "./cast.ts";
import { formatEvent, type Request, type Stage } from "./event.ts";
import { ordinaryRequest } from "./noise.ts";
import { createRandom } from "./random.ts";
import { plantThreat, type ThreatKind } from "./threats.ts";

/** What is planted in a log: the event that must be found, and the rule that must find it. */
export interface Planted {
  readonly auditId: string;
  readonly threat: ThreatKind;
  readonly rule: string;
}

/** One line of an audit log. A threat that is logged in two stages is planted with its first line only. */
export interface GeneratedLine {
  readonly auditId: string;
  readonly line: string;
  readonly planted?: Planted;
}

export interface AuditStreamOptions {
  /** The same seed, cluster and clock give the same lines, byte for byte. */
  readonly seed: string;
  readonly cluster: string;
  /** Every how many lines a threat is planted; 0 plants none. At least 2, because long requests need lines to end on. */
  readonly threatEvery: number;
}

export interface AuditStream {
  /** The next line, stamped with `nowMicros` or, where the clock stands still, with the microsecond after the last one. */
  next(nowMicros: number): GeneratedLine;
}

interface Waiting {
  readonly request: Request;
  readonly auditId: string;
  readonly receivedMicros: number;
  readonly dueLine: number;
}

/** A long request ends at most this many lines after it started, so that what waits stays bounded. */
const longestLines = 400;

/** An endless, deterministic audit log of one busy cluster. */
export function createAuditStream(options: AuditStreamOptions): AuditStream {
  // Who lives in a cluster depends on its name only: two runs tell of the same people and machines.
  const cast = castCluster(options.cluster, createRandom(`cast/${options.cluster}`));
  const random = createRandom(`${options.seed}/${options.cluster}`);
  const waiting: Waiting[] = [];
  let lines = 0;
  let threats = 0;
  let lastMicros = 0;

  const stamped = (
    request: Request,
    auditId: string,
    stage: Stage,
    receivedMicros?: number,
  ): GeneratedLine => {
    const received = receivedMicros ?? lastMicros - 200 - random.below(9000);
    return {
      auditId,
      line: formatEvent(request, { auditId, stage, receivedMicros: received, stageMicros: lastMicros }),
    };
  };
  const begin = (request: Request): GeneratedLine => {
    const auditId = random.uuid();
    if (request.long !== true) return stamped(request, auditId, "ResponseComplete");
    const dueLine = lines + 1 + random.below(longestLines);
    const receivedMicros = lastMicros - 250;
    waiting.push({ request, auditId, receivedMicros, dueLine });
    return stamped(request, auditId, "ResponseStarted", receivedMicros);
  };
  return {
    next(nowMicros) {
      lastMicros = Math.max(nowMicros, lastMicros + 1);
      lines += 1;
      if (options.threatEvery > 0 && lines % options.threatEvery === 0) {
        const { kind, rule, request } = plantThreat(cast, random, threats++);
        const begun = begin(request);
        return { ...begun, planted: { auditId: begun.auditId, threat: kind, rule } };
      }
      const ended = waiting.findIndex((entry) => entry.dueLine <= lines);
      const [entry] = ended < 0 ? [] : waiting.splice(ended, 1);
      if (entry === undefined) return begin(ordinaryRequest(cast, random));
      return stamped(entry.request, entry.auditId, "ResponseComplete", entry.receivedMicros);
    },
  };
}

/** The first `count` lines of a stream whose clock starts at `startMicros` and ticks evenly. */
export function planAudit(
  options: AuditStreamOptions & {
    readonly count: number;
    readonly startMicros: number;
    readonly stepMicros: number;
  },
): readonly GeneratedLine[] {
  const stream = createAuditStream(options);
  return Array.from({ length: options.count }, (_, index) =>
    stream.next(options.startMicros + index * options.stepMicros),
  );
}
