/** Wakes everybody who waits for something that may have happened in this process. Carries nothing. */
export interface Signal {
  ring(): void;
  /** Resolves at the next ring, after `timeoutMs`, or when aborted; never rejects. */
  wait(timeoutMs: number, abort?: AbortSignal): Promise<void>;
}

export function createSignal(): Signal {
  const waiting = new Set<() => void>();
  return {
    ring: () => {
      for (const wake of waiting) wake();
    },
    wait: (timeoutMs, abort) =>
      new Promise((resolve) => {
        const timer = setTimeout(wake, timeoutMs);
        function wake(): void {
          clearTimeout(timer);
          waiting.delete(wake);
          abort?.removeEventListener("abort", wake);
          resolve();
        }
        waiting.add(wake);
        abort?.addEventListener("abort", wake, { once: true });
        if (abort?.aborted === true) wake();
      }),
  };
}
