import { Growths } from "../../domain/growth.ts";
import type { Counted } from "../../domain/growth.ts";
import type { OutputReport } from "../../pipeline/pipeline.ts";
import { hostIn, markPrefix } from "./seen.ts";
import type { FluentBitSeen, FluentBitsSeen, OutputSeen } from "./seen.ts";

type Count = keyof OutputSeen;

const counted: readonly Count[] = ["delivered", "deliveredBytes", "errors", "retries", "dropped"];

/** One output of one Fluent Bit. */
interface Shown {
  readonly at: string;
  readonly alias: string;
}

interface Progress {
  readonly delivered: number;
  readonly failed: number;
}

/** The two clocks of a look: what time it is, for when programs began, and one that is never set. */
export interface LookTimes {
  readonly wallMs: number;
  readonly steadyMs: number;
}

/** What Fluent Bits did since they were first seen, over their reloads and over looks that they missed. */
export class CountWatch {
  readonly #growths: Growths;
  /** Whether there can be more than one, so that an output's name takes its host to be one. */
  readonly #areMany: boolean;
  #shown: readonly Shown[] = [];
  /** Since when outputs have failed without delivering anything, by Fluent Bit and alias. */
  #failing: ReadonlyMap<string, number> = new Map();
  #atMs = 0;

  constructor(areMany: boolean, wallMs: number) {
    this.#areMany = areMany;
    this.#growths = new Growths(wallMs);
  }

  /** Where `isCounted` is false another agent counts, and this one only follows, so that it could go on from there. */
  take({ seen }: FluentBitsSeen, isCounted: boolean, { wallMs, steadyMs }: LookTimes): void {
    this.#atMs = steadyMs;
    const shown = [...seen].flatMap(([at, { outputs }]) => ownOf(outputs).map(([alias]) => ({ at, alias })));
    const before = new Map(shown.map((each) => [keyOf(each), this.#progressOf(each)]));
    this.#growths.take(new Map([...seen].map(([at, each]) => [at, countedBy(each)])), isCounted, wallMs);
    this.#shown = isCounted ? shown : [];
    const failing = shown.flatMap((each) => {
      const key = keyOf(each);
      const since = this.#failsSince(each, before.get(key));
      return since === undefined ? [] : [[key, since] as const];
    });
    this.#failing = new Map(isCounted ? failing : []);
  }

  get events(): number {
    return this.#growths.total("records");
  }

  get bytes(): number {
    return this.#growths.total("bytes");
  }

  get dropped(): number {
    return this.#growths.total("dropped");
  }

  /** How long the output that has failed longest has delivered nothing; 0 when none fails. */
  get lagMs(): number {
    return Math.max(0, ...[...this.#failing.values()].map((ms) => this.#atMs - ms));
  }

  reports(): readonly OutputReport[] {
    return this.#shown.map((each) => {
      const { at, alias } = each;
      const total = (count: Count) => this.#growths.totalOf(at, `${count} ${alias}`);
      const isFailing = this.#failing.has(keyOf(each));
      return {
        alias: this.#areMany ? `${alias}@${hostIn(at)}` : alias,
        plugin: "fluent-bit",
        delivered: total("delivered"),
        deliveredBytes: total("deliveredBytes"),
        parked: 0,
        // Fluent Bit's dropped records are counted with the driver.
        dropped: 0,
        retries: total("retries"),
        queueBytes: 0,
        queueRecords: 0,
        full: false,
        lastError: isFailing
          ? `Fluent Bit counts ${total("errors")} errors and ${total("retries")} retries, and delivers nothing`
          : undefined,
        isBehind: false,
        behindMs: 0,
      };
    });
  }

  #progressOf({ at, alias }: Shown): Progress {
    const total = (count: Count) => this.#growths.totalOf(at, `${count} ${alias}`);
    return { delivered: total("delivered"), failed: total("errors") + total("retries") };
  }

  #failsSince(each: Shown, before: Progress | undefined): number | undefined {
    const now = this.#progressOf(each);
    if (now.delivered > (before?.delivered ?? 0)) return undefined;
    const isFailing = now.failed > (before?.failed ?? 0);
    return this.#failing.get(keyOf(each)) ?? (isFailing ? this.#atMs : undefined);
  }
}

function keyOf({ at, alias }: Shown): string {
  return `${at} ${alias}`;
}

/** Without the output by which the agent knows its text again. */
function ownOf(outputs: FluentBitSeen["outputs"]): readonly (readonly [alias: string, seen: OutputSeen])[] {
  return [...outputs].filter(([alias]) => !alias.startsWith(markPrefix));
}

/** A reload has everything counted anew, though the process is the same. */
function countedBy({ beganS, reloads, records, bytes, outputs }: FluentBitSeen): Counted {
  const own = ownOf(outputs);
  const each = own.flatMap(([alias, seen]) =>
    counted.map((count) => [`${count} ${alias}`, seen[count]] as const),
  );
  const dropped = own.reduce((sum, [, seen]) => sum + seen.dropped, 0);
  const counts = new Map([["records", records], ["bytes", bytes], ["dropped", dropped], ...each]);
  return { beganMs: beganS * 1000, epoch: `${beganS} ${reloads}`, counts };
}
