import { closeSync } from "node:fs";

/**
 * Closes file descriptors, but none that a call in another thread still works on: its number would at once belong to
 * another file.
 */
export class FdsInUse {
  readonly #uses = new Map<number, number>();
  readonly #closing = new Set<number>();

  /** Calls with a descriptor that stays open until the call has ended. */
  async use(fd: number, call: (fd: number) => Promise<void>): Promise<void> {
    this.#uses.set(fd, (this.#uses.get(fd) ?? 0) + 1);
    try {
      await call(fd);
    } finally {
      const left = (this.#uses.get(fd) ?? 1) - 1;
      if (left > 0) this.#uses.set(fd, left);
      else {
        this.#uses.delete(fd);
        if (this.#closing.delete(fd)) closeSync(fd);
      }
    }
  }

  /** Closes now, or when the last call that uses it has ended. */
  close(fd: number): void {
    if (this.#uses.has(fd)) this.#closing.add(fd);
    else closeSync(fd);
  }
}
