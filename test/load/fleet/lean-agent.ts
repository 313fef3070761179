import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { RateBucketSchema, type SyncResponse } from "#proto/agent/v1/agent";
import { readAuditHead } from "#trust";

import { reconnectDelayMs, saysAway } from "../../../agent/domain/backoff.ts";
import { newSimSession, type SimIdentity } from "../../support/sim-agent.ts";
import { CallError, openLeanLink, type LeanLink } from "./lean-link.ts";
import { leanState, takeLean } from "./lean-take.ts";

export interface LeanAgent {
  /** Whether the server has answered in the session of now. */
  readonly isConnected: boolean;
  /** Within which time it comes back when its session is lost, as the server said last. */
  readonly windowMs: number;
  stall(): void;
  goOn(): void;
  stop(): void;
}

/** What agents count together. */
export interface Counters {
  sessions: number;
  /** By what ended them. */
  readonly ends: Map<string, number>;
  fetchesRepeated: number;
  faults: string[];
}

/** An agent that was told nothing else beats when it has said nothing for so long, and sends its rates with it, as the real one does. */
const usualBeatMs = 10_000;
const minuteMs = 60_000;

/**
 * An agent with a real certificate that verifies all that it is sent, fetches what it is assigned, signs its proofs, and comes
 * back by the rule of the real agent whenever its session ends. What it has no part in is the pipeline behind.
 */
export function startLeanAgent(
  identity: SimIdentity & { readonly localAddress: string },
  firstDelayMs: number,
  counters: Counters,
): LeanAgent {
  const state = leanState(identity);
  let link: LeanLink | undefined;
  let isConnected = false;
  let isStopped = false;
  let failures = 0;
  let windowMs = 5_000;
  let beatMs = usualBeatMs;
  let timer: NodeJS.Timeout | undefined;

  function comeBackIn(ms: number): void {
    if (!isStopped) timer = setTimeout(open, ms);
  }
  function open(): void {
    const session = newSimSession({ ...identity, capabilities: ["enclosed"] }, "stream", state);
    let head: object | undefined;
    let asked: number | undefined;
    let isOver = false;
    let work = Promise.resolve();
    const say = (hasReport: boolean) => {
      const more = { rates: [rates()], ...(head === undefined ? {} : { auditHead: head }), shadow: {} };
      link?.tell(session.message(more, hasReport));
      beat.refresh();
    };
    const beatEvery = (ms: number) => {
      beatMs = ms;
      return setInterval(() => say(false), ms);
    };
    let beat = beatEvery(beatMs);
    const fetch = fetching(() => link, counters);
    const take = async (response: SyncResponse) => {
      if (response.needHello) {
        session.sequence = 0n;
        session.isHelloDue = true;
      }
      isConnected = true;
      windowMs = response.tuning?.reconnectWindowMs ?? windowMs;
      const { reportMs = beatMs } = response.tuning ?? {};
      if (reportMs !== beatMs && !isOver) {
        clearInterval(beat);
        beat = beatEvery(reportMs);
      }
      head = headOf(response) ?? head;
      asked = response.drain?.reconnectAfterMs;
      const hasNews = await takeLean(identity, state, fetch, response);
      if (hasNews || response.needHello) say(true);
    };
    counters.sessions += 1;
    link = openLeanLink(identity, {
      onMessage: (response) => {
        work = work
          .then(() => take(response))
          .catch((error: unknown) => {
            counters.faults.push(String(error));
          });
      },
      onEnd: (error) => {
        isOver = true;
        clearInterval(beat);
        failures = isConnected ? 0 : failures + 1;
        isConnected = false;
        const why =
          error instanceof CallError ? error.code : ((error as NodeJS.ErrnoException).code ?? error.name);
        counters.ends.set(why, (counters.ends.get(why) ?? 0) + 1);
        const loss = { failures, windowMs, isAway: saysAway(why) };
        comeBackIn(asked ?? reconnectDelayMs(loss, [Math.random(), Math.random()]));
      },
    });
    say(true);
  }
  comeBackIn(firstDelayMs);
  return {
    get isConnected() {
      return isConnected;
    },
    get windowMs() {
      return windowMs;
    },
    stall: () => link?.stall(),
    goOn: () => link?.goOn(),
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
      link?.close();
    },
  };
}

/** The minute in work, as an agent of a busy cluster counts it. */
function rates() {
  const nowMs = Date.now();
  return create(RateBucketSchema, {
    minute: timestampFromMs(Math.floor(nowMs / minuteMs) * minuteMs),
    events: BigInt(nowMs % minuteMs),
    bytes: BigInt((nowMs % minuteMs) * 1500),
    seconds: Math.floor((nowMs % minuteMs) / 1000),
  });
}

/** The head that the server told last: the same one to all agents of a process, which read it once. */
let told: { readonly payload: Uint8Array; readonly known: object | undefined } | undefined;

function headOf({ audit }: SyncResponse): object | undefined {
  const payload = audit?.head?.payload;
  if (payload === undefined) return undefined;
  if (told === undefined || Buffer.compare(told.payload, payload) !== 0) {
    told = { payload, known: readHead(payload) };
  }
  return told.known;
}

function readHead(payload: Uint8Array): object | undefined {
  const read = readAuditHead(payload);
  if (!read.ok) return undefined;
  const { sequence, hash, time } = read.value;
  return {
    sequence: BigInt(sequence),
    hash: Uint8Array.from(Buffer.from(hash, "hex")),
    time: timestampFromMs(time.getTime()),
  };
}

/** Fetches as the real agent does: asks again after a while when the server is busy. */
function fetching(link: () => LeanLink | undefined, counters: Counters) {
  return async (digest: string): Promise<Uint8Array> => {
    for (let tries = 1; ; tries += 1) {
      try {
        const bytes = await link()?.fetch(digest);
        if (bytes === undefined) throw new CallError("closed", "there is no connection");
        return bytes;
      } catch (error) {
        const isBusy = error instanceof CallError && /unavailable|resource_exhausted/.test(error.code);
        if (!isBusy || tries === 10) throw error;
        counters.fetchesRepeated += 1;
        await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * 1_000));
      }
    }
  };
}
