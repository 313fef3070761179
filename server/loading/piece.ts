import type { Worker } from "node:worker_threads";

import type { FromThread, ToThread } from "./worker.ts";

/** How a piece of work ended. After `done` and `failed` its thread is as good as before; else it has been ended. */
export type PieceEnd =
  | Exclude<FromThread, { readonly kind: "begun" }>
  | { readonly kind: "too-long" | "too-much-memory" | "stopped" }
  | { readonly kind: "died"; readonly error: unknown };

/**
 * Has a thread do one piece of work, for at most `workMs` from when it begins. Tells the end once, and gives what stops the
 * work before it.
 */
export function beginPiece(
  thread: Worker,
  message: ToThread,
  workMs: number,
  onEnd: (end: PieceEnd) => void,
): () => void {
  const late = setTimeout(() => over({ kind: "too-long" }), workMs);
  const hear = (said: FromThread) => {
    // A thread that had to be started first does not pay for that.
    if (said.kind === "begun") late.refresh();
    else over(said);
  };
  const fail = (error: unknown) => {
    const isMemory = (error as NodeJS.ErrnoException | undefined)?.code === "ERR_WORKER_OUT_OF_MEMORY";
    over(isMemory ? { kind: "too-much-memory" } : { kind: "died", error });
  };
  const exit = (code: number) =>
    over({ kind: "died", error: new Error(`The thread ended with code ${code}`) });
  const over = (end: PieceEnd) => {
    clearTimeout(late);
    thread.off("message", hear);
    thread.off("error", fail);
    thread.off("exit", exit);
    if (end.kind !== "done" && end.kind !== "failed") void thread.terminate();
    onEnd(end);
  };
  thread.on("message", hear);
  thread.on("error", fail);
  thread.on("exit", exit);
  thread.postMessage(message, []);
  return () => over({ kind: "stopped" });
}
