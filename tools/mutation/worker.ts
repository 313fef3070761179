import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** What a worker is asked: whether the tests pass with `file` holding `text`. */
export interface Question {
  readonly id: number;
  readonly file: string;
  readonly text: string;
}

export interface Answer {
  readonly id: number;
  /** The test that failed; absent when none did. */
  readonly killedBy?: string;
}

/** What `harness.ts` gathers when a test file is imported. */
interface Collected {
  readonly name: string;
  readonly run: (context: object) => unknown;
}

/**
 * `worker.ts BASE SCRATCH JSON`: a copy of the set's files per question, imported into this one process, with a `node:test`
 * that only gathers. Starting a process for each mutant would cost twenty times as much as the tests.
 */
const [base = "", scratch = "", json = "{}"] = process.argv.slice(2);
const set = JSON.parse(json) as { copied: readonly string[]; tests: readonly string[]; slow: string };
const slow = new RegExp(set.slow);
const collected: Collected[] = [];
Object.assign(globalThis, { collectTest: (test: Collected) => collected.push(test) });

process.on("message", (question: Question) => {
  void answer(question).then((reply) => process.send?.(reply));
});

async function answer({ id, file, text }: Question): Promise<Answer> {
  const dir = join(scratch, `m${id}`);
  try {
    for (const path of set.copied) cpSync(join(base, path), join(dir, path), { recursive: true });
    for (const path of set.tests) {
      const source = readFileSync(join(base, path), "utf8");
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), source.replace('from "node:test"', `from "${scratch}/harness.ts"`));
    }
    if (file !== "") writeFileSync(join(dir, file), text);
    for (const path of ownFirst(file)) {
      const failed = await firstFailure(join(dir, path));
      if (failed !== undefined) return { id, killedBy: `${path}: ${failed}` };
    }
    return { id };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The test that stands beside the file most often notices. */
function ownFirst(file: string): readonly string[] {
  const own = file.replace(/\.ts$/, ".test.ts");
  return set.tests.toSorted((a, b) => Number(b === own) - Number(a === own));
}

async function firstFailure(path: string): Promise<string | undefined> {
  collected.length = 0;
  try {
    await import(path);
  } catch (error) {
    return `import: ${String(error)}`;
  }
  for (const { name, run } of collected) {
    if (slow.test(name)) continue;
    const after: (() => unknown)[] = [];
    try {
      await run({ after: (undo: () => unknown) => after.push(undo), diagnostic: () => undefined });
    } catch {
      return name;
    } finally {
      for (const undo of after) await undo();
    }
  }
  return undefined;
}
