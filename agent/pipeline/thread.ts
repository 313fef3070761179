import { Worker, type WorkerOptions } from "node:worker_threads";

/** Starts a thread of the pipeline: a file of its own as sources, a part of the agent's one file as a bundle. */
export function startThread(name: "worker" | "backtest-worker", options: WorkerOptions): Worker {
  if (import.meta.filename.endsWith(".ts")) {
    return new Worker(new URL(`./${name}.ts`, import.meta.url), options);
  }
  return new Worker(import.meta.filename, { ...options, argv: [`@${name}`] });
}
