/** Collects what many callers want to write for a moment, and writes it at once. */
export interface Batcher<T> {
  /** Resolves when the items are written; rejects with what kept them from it. */
  add(items: readonly T[]): Promise<void>;
}

interface Batch<T> {
  readonly items: T[];
  readonly written: Promise<void>;
}

/** Writes `delayMs` after the first item, or as soon as `itemsMax` are there. */
export function createBatcher<T>(
  write: (items: readonly T[]) => Promise<void>,
  delayMs: number,
  itemsMax: number,
): Batcher<T> {
  let open: (Batch<T> & { readonly go: () => void }) | undefined;

  function begin(): NonNullable<typeof open> {
    const items: T[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, delayMs);
    const written = promise.then(() => {
      clearTimeout(timer);
      if (open?.items === items) open = undefined;
      return write(items);
    });
    return { items, written, go: resolve };
  }
  return {
    add: (items) => {
      if (items.length === 0) return Promise.resolve();
      open ??= begin();
      const batch = open;
      batch.items.push(...items);
      if (batch.items.length >= itemsMax) {
        open = undefined;
        batch.go();
      }
      return batch.written;
    },
  };
}
