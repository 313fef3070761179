import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Mutant } from "./mutants.ts";
import type { MutationSet } from "./sets.ts";
import type { Answer, Question } from "./worker.ts";

/** Says whether a test of the set fails when the mutant is there. */
export interface Judge {
  /** The failed test, or undefined; without a mutant: of the unchanged files. */
  killerOf(mutant?: Mutant): Promise<string | undefined>;
  close(): void;
}

// Modules are never forgotten, and a mutant may run for ever: a worker is replaced now and then.
const mutantsPerWorker = 100;
const limitMs = 120_000;

export function openJudge(root: string, set: MutationSet): Judge {
  const scratch = mkdtempSync(join(tmpdir(), "falconry-mutate-"));
  symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"));
  cpSync(join(import.meta.dirname, "harness.ts"), join(scratch, "harness.ts"));
  // Somebody may go on working in the checkout meanwhile.
  const base = join(scratch, "base");
  for (const path of [...set.copied, ...set.tests]) {
    cpSync(join(root, path), join(base, path), { recursive: true });
  }
  let worker: ChildProcess | undefined;
  let asked = 0;
  const stop = () => {
    worker?.kill("SIGKILL");
    worker = undefined;
  };
  return {
    async killerOf(mutant) {
      if (asked % mutantsPerWorker === 0) stop();
      worker ??= fork(join(import.meta.dirname, "worker.ts"), [base, scratch, JSON.stringify(set)], {
        stdio: "ignore",
      });
      const question: Question = { id: (asked += 1), ...changed(base, mutant) };
      worker.send(question);
      const outcome = await answerOf(worker);
      if (outcome === "the process ended" || outcome === "it ran for ever") stop();
      return outcome;
    },
    close() {
      stop();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

function changed(base: string, mutant: Mutant | undefined): Omit<Question, "id"> {
  if (mutant === undefined) return { file: "", text: "" };
  const text = readFileSync(join(base, mutant.file), "utf8");
  return {
    file: mutant.file,
    text: text.slice(0, mutant.start) + mutant.to + text.slice(mutant.end),
  };
}

/** The answer to the question that was just asked, also when there will be none. */
async function answerOf(worker: ChildProcess): Promise<string | undefined> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    return await Promise.race([
      once(worker, "message", { signal }).then(([answer]) => (answer as Answer).killedBy),
      once(worker, "exit", { signal }).then(() => "the process ended"),
      sleep(limitMs, "it ran for ever", { signal }),
    ]);
  } finally {
    settled.abort();
  }
}
