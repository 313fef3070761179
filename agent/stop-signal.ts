const controller = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => controller.abort(signal));

/**
 * Aborted by the first SIGTERM or SIGINT; its reason is the name. It listens from the moment on at which this file is loaded, so it is the
 * first that a program loads: the first process of a container hears no signal that nobody listens for, and whoever stops it within its
 * first second would wait until it is killed.
 */
export const stopSignal = controller.signal;
