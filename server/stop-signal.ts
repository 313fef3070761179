import { constants } from "node:os";

const controller = new AbortController();
const signals = ["SIGTERM", "SIGINT"] as const;
export type StopSignal = (typeof signals)[number];

for (const signal of signals) {
  process.on(signal, () => {
    // Whoever asks twice does not want to wait.
    if (controller.signal.aborted) process.exit(128 + constants.signals[signal]);
    controller.abort(signal);
  });
}

/**
 * Aborted by the first SIGTERM or SIGINT; its reason is the name. A second one ends the process at once. It listens from the moment on at which this file is
 * loaded, so it is the first that the program loads: the first process of a container hears no signal that nobody listens for, and whoever
 * stops it while it waits for its database would wait until it is killed.
 */
export const stopSignal = controller.signal;
