import { readFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { root } from "./test-files.ts";
import type { Group } from "./test-processes.ts";

/** What took how long in a run; seconds. */
export class Times {
  /** Of files that run together: the sum of their tests, because only these are told apart. */
  readonly #durations = new Map<string, number>();
  readonly #groups: readonly Group[];

  constructor(groups: readonly Group[]) {
    this.#groups = groups;
  }

  /** Takes down how long a process took. */
  processEnded(path: string, ms: number): void {
    if (this.#groupOf(path) === undefined) this.#durations.set(path, ms / 1000);
  }

  /** Takes down how long a test took that is in no other. */
  testEnded(path: string, ms: number): void {
    if (!this.#groups.some(({ files }) => files.includes(path))) return;
    this.#durations.set(path, (this.#durations.get(path) ?? 0) + ms / 1000);
  }

  /** Lines that name what took longest, and what took most of the cores: the latter from the file that the processes wrote (`test-cost.ts`). */
  lines(costsFile: string): readonly string[] {
    const costs = readCosts(costsFile);
    const groups = costs.filter(([path]) => this.#groupOf(path) !== undefined);
    const others = costs.filter(([path]) => this.#groupOf(path) === undefined);
    return [
      `slowest: ${this.#most([...this.#durations])}`,
      `most of the cores: ${this.#most(others)}`,
      `run together, and what that took of the cores: ${this.#most(groups)}`,
    ];
  }

  #groupOf(path: string): Group | undefined {
    return this.#groups.find(({ name }) => basename(path) === groupFile(name));
  }

  #most(of: readonly (readonly [path: string, seconds: number])[]): string {
    const first = of.toSorted(([, a], [, b]) => b - a).slice(0, 15);
    return first.map(([path, seconds]) => `${this.#nameOf(path)} ${seconds.toFixed(0)} s`).join(", ");
  }

  #nameOf(path: string): string {
    const group = this.#groupOf(path);
    return group === undefined ? relative(root, path) : `${group.name} (${group.files.length} files)`;
  }
}

/** What the file is called that has those of a group run together. */
export function groupFile(name: string): string {
  return `${name}.test.mts`;
}

/** What each process took of the cores, with those that it started; the database that all share is not in it. */
function readCosts(file: string): readonly (readonly [path: string, seconds: number])[] {
  const lines = readFileSync(file, "utf8").trim();
  return lines.split("\n").map((line) => {
    const at = line.indexOf(" ");
    return [line.slice(at + 1), Number(line.slice(0, at))];
  });
}
