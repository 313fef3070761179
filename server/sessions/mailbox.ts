/** Why a session is ended from this side. */
export type Ending =
  /** A newer session of the agent has begun. */
  | { readonly kind: "superseded" }
  /** A newer call of the same session has come: this one answers what it has. */
  | { readonly kind: "repeated" }
  | { readonly kind: "revoked" }
  /** Nothing was heard for three heartbeats. */
  | { readonly kind: "silent" }
  /** The server goes away, or the stream is old: come back after this time. */
  | { readonly kind: "drain"; readonly reconnectAfterMs: number };

/**
 * Holds at most one thing to do for a session: "look again". What is to be said is read when it is said, so a newer
 * state overwrites an older one and a slow reader never makes anybody wait.
 */
export interface Mailbox {
  /** Says that something may have changed. Never waits, whatever the other end does. */
  mark(): void;
  /** The first ending counts. */
  end(ending: Ending): void;
  readonly ending: Ending | undefined;
  /** Wakes who waits without a mark: there is something else to look at. Remembered by nobody. */
  stir(): void;
  /** Resolves when it is marked, ended or stirred. Only one waits at a time. */
  wait(): Promise<void>;
  /** Takes the mark away, and says whether there was one. */
  take(): boolean;
}

export function createMailbox(): Mailbox {
  let isMarked = false;
  let ending: Ending | undefined;
  let waiting: PromiseWithResolvers<void> | undefined;

  function wake(): void {
    waiting?.resolve();
    waiting = undefined;
  }
  return {
    mark: () => {
      isMarked = true;
      wake();
    },
    end: (why) => {
      ending ??= why;
      wake();
    },
    stir: wake,
    get ending() {
      return ending;
    },
    wait: () => {
      if (isMarked || ending !== undefined) return Promise.resolve();
      waiting ??= Promise.withResolvers<void>();
      return waiting.promise;
    },
    take: () => {
      const was = isMarked;
      isMarked = false;
      return was;
    },
  };
}
