/**
 * Waits for work that cannot be called off, until it ends or somebody gives up on it. What comes of it later is handed to
 * `late`, so that it can be let go.
 */
export async function abortable<T>(
  work: Promise<T>,
  signal: AbortSignal,
  late: (result: T) => void = () => {},
): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    aborted.reject(new Error("the output is closing"));
    // Nobody is interested any more in why it failed.
    work.then(late, () => {});
  };
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
