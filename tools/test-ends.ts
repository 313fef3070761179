import { relative } from "node:path";
import { root } from "./test-files.ts";
import type { Group } from "./test-processes.ts";

/** What a test that begins says of itself. */
interface Began {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  /** The file that its process was started with. Newer than the types. */
  readonly entryFile?: string;
}

/**
 * Which processes of several files did not come to their end. What a signal ended (no memory, a fault of native code) says nothing itself,
 * and the file that it was started with is gone after the run.
 */
export class Ends {
  readonly #groups: ReadonlyMap<string, Group>;
  readonly #lastTests = new Map<string, string>();
  readonly #ended = new Set<string>();
  readonly #failed = new Set<string>();

  /** By the file that each is started with. */
  constructor(groups: ReadonlyMap<string, Group>) {
    this.#groups = groups;
  }

  /** Takes down which test of its process began last. */
  testBegan({ name, file, line, entryFile }: Began): void {
    if (entryFile === undefined || !this.#groups.has(entryFile)) return;
    this.#lastTests.set(entryFile, `"${name}" (${relative(root, file ?? "")}:${line})`);
  }

  /** Takes down that all tests of a process have ended. */
  testsEnded(path: string): void {
    this.#ended.add(path);
  }

  /** Takes down what failed: also a process, by its file. */
  failed(path: string): void {
    this.#failed.add(path);
  }

  /** A line for each process that did not end as it should: its files, and the test that began last. */
  lines(): readonly string[] {
    return [...this.#groups].flatMap(([path, { name, files }]) => {
      if (this.#ended.has(path) && !this.#failed.has(path)) return [];
      const last = this.#lastTests.get(path) ?? "none";
      const names = files.map((file) => relative(root, file)).join(" ");
      return [
        `${name} did not end as it should. The test of it that began last: ${last}. Its files: ${names}`,
      ];
    });
  }
}
