/** What wraps an iterator: each function gets what the one inside gives, and gives what goes on. */
export interface Around<T, U> {
  readonly value: (value: T) => U;
  readonly end?: () => void;
  /** Who reads wants no more. */
  readonly left?: () => void;
  /** What is thrown in place of a failure. */
  readonly failure?: (error: unknown) => unknown;
}

/**
 * As a generator that goes through `messages` and yields each, but with one promise for each message and not four: streams of thousands
 * of agents go through several of these.
 */
export function around<T, U>(
  messages: AsyncIterable<T>,
  { value, end, left, failure }: Around<T, U>,
): AsyncIterable<U> {
  const inner = messages[Symbol.asyncIterator]();
  const pass = (result: IteratorResult<T>): IteratorResult<U, undefined> => {
    if (result.done !== true) return { done: false, value: value(result.value) };
    end?.();
    return { done: true, value: undefined };
  };
  const fail = (error: unknown): never => {
    throw failure === undefined ? error : failure(error);
  };
  const outer: AsyncIterator<U, undefined> = {
    next: () => inner.next().then(pass, fail),
    return: async () => {
      left?.();
      await inner.return?.();
      return { done: true, value: undefined };
    },
    throw: async (error) => {
      left?.();
      await inner.return?.();
      throw error;
    },
  };
  return { [Symbol.asyncIterator]: () => outer };
}

export function mapped<T, U>(messages: AsyncIterable<T>, value: (value: T) => U): AsyncIterable<U> {
  return around(messages, { value });
}
