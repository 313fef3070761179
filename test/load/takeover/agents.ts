import { reconnectDelayMs } from "../../../agent/domain/backoff.ts";
import { defaultTuning } from "../../../server/sessions/tuning.ts";
import type { ServerProcess } from "../../floods/server-process.ts";
import { newSimState, startSimAgent, type SimAgent, type SimIdentity } from "../../support/sim-agent.ts";

/** An agent that comes back whenever its session ends, by the rule of the real one, as through a balancer of load. */
export interface SteadyAgent {
  readonly clusterId: string;
  /** The digests that it applied since it was last asked, in order. */
  takeApplied(): readonly string[];
  /** The server that has answered in its session of now. */
  readonly at: ServerProcess | undefined;
  /** Leaves the server that it is at without a word, and goes to another one at once. */
  moveTo(server: ServerProcess): Promise<void>;
  stop(): Promise<void>;
}

/**
 * `servers` are those of now: the agent connects to one of them that is alive, chosen by `dice`.
 */
export function startSteadyAgent(
  identity: SimIdentity,
  servers: () => readonly ServerProcess[],
  dice: () => number,
): SteadyAgent {
  const state = newSimState(identity);
  const over = new AbortController();
  let current: SimAgent | undefined;
  let at: ServerProcess | undefined;
  let wanted: ServerProcess | undefined;
  let wake: (() => void) | undefined;

  async function oneSession(): Promise<boolean> {
    const alive = servers().filter((server) => server.isAlive());
    const server = wanted ?? alive[Math.floor(dice() * alive.length)];
    wanted = undefined;
    if (server === undefined) return false;
    current = startSimAgent({ ...identity, baseUrl: server.baseUrl }, { state, heartbeatMs: 5_000 });
    // One that is moved before the first answer ends without one.
    const hasAnswered = await Promise.race([
      current.connected.then(
        () => true,
        () => false,
      ),
      current.ended.then(() => false),
    ]);
    at = hasAnswered ? server : undefined;
    await current.ended;
    at = undefined;
    await current.kill();
    return hasAnswered;
  }
  async function live(): Promise<void> {
    for (let failures = 0; !over.signal.aborted;) {
      failures = (await oneSession()) ? 0 : failures + 1;
      if (over.signal.aborted || wanted !== undefined) continue;
      const loss = { failures, windowMs: defaultTuning.reconnectWindowMs, isAway: true };
      const ms = reconnectDelayMs(loss, [dice(), dice()]);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
  const life = live();
  return {
    clusterId: identity.clusterId,
    takeApplied: () => state.applied.splice(0).map((sha256) => `sha256:${sha256}`),
    get at() {
      return at;
    },
    moveTo: async (server) => {
      if (at === server) return;
      wanted = server;
      wake?.();
      await current?.kill();
    },
    stop: async () => {
      over.abort();
      wake?.();
      await current?.kill();
      await life;
    },
  };
}
