import { reasonOf, syncFolder } from "./files.ts";

/** Remembers that a sync failed: the system may have forgotten what it could not write, and the next sync would not know. */
export class SyncGuard {
  #failed: Error | undefined;

  get isDurable(): boolean {
    return this.#failed === undefined;
  }

  /** Throws when a sync failed before. */
  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Notes the first failure and gives it. */
  fail(what: string, cause: unknown): Error {
    const why = `cannot sync ${what}: ${reasonOf(cause)}`;
    this.#failed ??= new Error(`${why}. What was written since the last sync is read again`, { cause });
    return this.#failed;
  }
}

/** Makes the names in a folder durable when some of them are new. */
export class FolderSync {
  readonly #path: string;
  #isDirty: boolean;

  constructor(path: string, isDirty: boolean) {
    this.#path = path;
    this.#isDirty = isDirty;
  }

  /** A name was added or changed. */
  touch(): void {
    this.#isDirty = true;
  }

  async sync(): Promise<void> {
    if (!this.#isDirty) return;
    // Before the call: a name that is added meanwhile needs another one.
    this.#isDirty = false;
    try {
      await syncFolder(this.#path);
    } catch (error) {
      this.#isDirty = true;
      throw error;
    }
  }
}
