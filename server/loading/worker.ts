import { parentPort } from "node:worker_threads";

import { works, type WorkName } from "./works.ts";

export interface ToThread {
  readonly name: WorkName;
  readonly input: unknown;
}

/** `begun` when the thread is up and takes the work in hand; then one of the others. */
export type FromThread =
  | { readonly kind: "begun" }
  | { readonly kind: "done"; readonly outcome: unknown }
  | { readonly kind: "failed"; readonly error: unknown };

const port = parentPort;
if (port === null) throw new Error("worker.ts runs in a worker thread: start it with createThreads()");

function post(message: FromThread): void {
  port?.postMessage(message);
}

port.on("message", ({ name, input }: ToThread) => {
  post({ kind: "begun" });
  try {
    const work = works[name] as (input: unknown) => unknown;
    post({ kind: "done", outcome: work(input) });
  } catch (error) {
    post({ kind: "failed", error });
  }
});
