import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Order, Said, StoredIdentity } from "./protocol.ts";

/** A process that answers orders over IPC. */
export interface Helper {
  readonly pid: number;
  ask<T extends object>(order: object): Promise<T>;
  /** Resolves when it has ended. */
  stop(): Promise<void>;
}

/** `nodeArgs` are for node itself, for example a profiler. */
export function startHelper(
  name: string,
  args: readonly string[],
  nodeArgs: readonly string[] = [],
): Helper & { readonly ready: Promise<object> } {
  const child: ChildProcess = fork(join(import.meta.dirname, `${name}.ts`), [...args], {
    stdio: "inherit",
    execArgv: [...process.execArgv, ...nodeArgs],
  });
  const ended = once(child, "exit");
  const waiting = new Map<number, PromiseWithResolvers<object>>();
  let last = 0;
  const wait = (id: number) => {
    const answer = Promise.withResolvers<object>();
    waiting.set(id, answer);
    return answer.promise;
  };
  const ready = wait(0);
  child.on("message", ({ id, said, error }: { id: number; said?: object; error?: string }) => {
    if (said === undefined) waiting.get(id)?.reject(new Error(error));
    else waiting.get(id)?.resolve(said);
    waiting.delete(id);
  });
  child.once("exit", (code) => {
    for (const each of waiting.values()) each.reject(new Error(`${name} ended with ${code}`));
  });
  ready.catch(() => undefined);
  return {
    pid: child.pid ?? 0,
    ready,
    ask: async <T extends object>(order: object) => {
      last += 1;
      child.send({ ...order, id: last });
      return (await wait(last)) as T;
    },
    stop: async () => {
      // It ends by itself when its parent has gone, and leaves its profile.
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

/** All simulated agents, over as many processes as they need. */
export interface Crowd {
  readonly size: number;
  /** The answers of all processes to one order. */
  ask(order: Order): Promise<readonly Said[]>;
  /** The same to the process that plays the first agent. */
  askFirst(order: Order): Promise<Said>;
  look(): Promise<Required<Omit<Said, "connectMs">>>;
  pids(): readonly number[];
  stop(): Promise<void>;
}

const perProcess = 2_500;
/**
 * Real agents have a heap each: to go through that of thousands again and again would only take from the machine, be it for objects or, as V8
 * does by itself with every 64 MiB, for the buffers of what came.
 */
const heapArgs = ["--initial-old-space-size=2048", "--external-memory-accounted-in-global-limit"];

export function startCrowd(
  dir: string,
  identities: readonly StoredIdentity[],
  nodeArgs: readonly string[] = [],
): Crowd {
  const helpers: Helper[] = [];
  for (let at = 0; at < identities.length; at += perProcess) {
    const file = join(dir, `identities-${at}.json`);
    writeFileSync(file, JSON.stringify(identities.slice(at, at + perProcess)), { mode: 0o600 });
    helpers.push(startHelper("agents-process", [file], [...heapArgs, ...nodeArgs]));
  }
  const [first] = helpers;
  if (first === undefined) throw new Error("There is no agent to play");
  const ask = (order: Order) => Promise.all(helpers.map((helper) => helper.ask<Said>(order)));
  return {
    size: identities.length,
    ask,
    askFirst: (order) => first.ask<Said>(order),
    look: async () => {
      const all = await ask({ what: "look" });
      const sum = (of: (said: Said) => number | undefined) =>
        all.reduce((total, said) => total + (of(said) ?? 0), 0);
      const ends = new Map<string, number>();
      for (const said of all) {
        for (const [why, count] of Object.entries(said.ends ?? {})) {
          ends.set(why, (ends.get(why) ?? 0) + count);
        }
      }
      return {
        connected: sum((said) => said.connected),
        leastWindowMs: Math.min(...all.map((said) => said.leastWindowMs ?? 0)),
        sessions: sum((said) => said.sessions),
        fetchesRepeated: sum((said) => said.fetchesRepeated),
        faultCount: sum((said) => said.faultCount),
        faults: all.flatMap((said) => said.faults ?? []),
        ends: Object.fromEntries(ends),
      };
    },
    pids: () => helpers.map(({ pid }) => pid),
    stop: async () => {
      await Promise.all(helpers.map((helper) => helper.stop()));
    },
  };
}
