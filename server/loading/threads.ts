import { Worker, type WorkerOptions } from "node:worker_threads";

/** What was not needed for so long gives its memory back. */
const idleMs = 60_000;

/**
 * Threads that load what bundles hold, one piece of work each at a time. How many there are is for who takes them to bound. A thread that
 * did its work is given back and kept warm for a minute; one that is ended is not, and the next take starts another.
 */
export interface Threads {
  take(): Worker;
  give(thread: Worker): void;
  /** Ends those that nobody has taken. */
  stop(): Promise<void>;
}

/** Each may have so much heap; one that takes more ends alone. */
export function createThreads(memoryMiBMax: number): Threads {
  const idle = new Map<Worker, NodeJS.Timeout>();
  const forget = (thread: Worker): void => {
    clearTimeout(idle.get(thread));
    idle.delete(thread);
  };
  const end = (thread: Worker): Promise<number> => {
    forget(thread);
    return thread.terminate();
  };
  function start(): Worker {
    const thread = startWorker({ resourceLimits: { maxOldGenerationSizeMb: memoryMiBMax } });
    // Who took it hears why as well; one that dies idle is only not given out again.
    thread.on("error", () => forget(thread));
    thread.on("exit", () => forget(thread));
    return thread;
  }
  return {
    take() {
      const [thread = start()] = idle.keys();
      forget(thread);
      thread.ref();
      return thread;
    },
    give(thread) {
      // A thread that waits for work keeps no process from ending.
      thread.unref();
      idle.set(thread, setTimeout(() => void end(thread), idleMs).unref());
    },
    stop: async () => {
      await Promise.all([...idle.keys()].map(end));
    },
  };
}

/** A file of its own as sources, a part of the server's one file as a bundle. */
function startWorker(options: WorkerOptions): Worker {
  if (import.meta.filename.endsWith(".ts")) {
    return new Worker(new URL("./worker.ts", import.meta.url), options);
  }
  return new Worker(import.meta.filename, { ...options, argv: ["@worker"] });
}
