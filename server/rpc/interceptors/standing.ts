import { createContextKey, type Interceptor } from "@connectrpc/connect";

import { refuse, type Outcome } from "../../domain/refusal.ts";
import { callerKey } from "../caller.ts";
import { orRefuse } from "../refusals.ts";

/** Judges the caller's credentials again, as they are now. Set before the request's body is read. */
export const standingKey = createContextKey<() => Promise<Outcome<true>>>(() =>
  Promise.resolve(refuse({ kind: "unauthenticated", why: "No credentials were given" })),
);

/** How long a stream goes on after its caller's token was revoked or expired, on whatever server, at most. */
const everyMs = 2_000;

/** Ends what people watch when their credentials end: a stream is opened once and may last for days. */
export const standing: Interceptor = (next) => async (request) => {
  const response = await next(request);
  const caller = request.contextValues.get(callerKey);
  if (!response.stream || !caller.ok || caller.value.kind !== "operator") return response;
  const judge = request.contextValues.get(standingKey);
  return { ...response, message: whileStanding(response.message, judge) };
};

async function* whileStanding<T>(messages: AsyncIterable<T>, judge: () => Promise<Outcome<true>>) {
  const iterator = messages[Symbol.asyncIterator]();
  let due = alarm(everyMs);
  let isDone = false;
  try {
    let coming = iterator.next();
    for (;;) {
      // A busy stream is judged too: the alarm comes first when both are there.
      const result = await Promise.race([due.rung, coming]);
      if (result === undefined) {
        orRefuse(await judge());
        due = alarm(everyMs);
      } else if (result.done === true) {
        isDone = true;
        return;
      } else {
        yield result.value;
        coming = iterator.next();
      }
    }
  } catch (error) {
    // What is still coming comes to nobody.
    isDone = true;
    void Promise.resolve(iterator.return?.()).catch(() => {});
    throw error;
  } finally {
    due.stop();
    if (!isDone) await iterator.return?.();
  }
}

function alarm(ms: number): { readonly rung: Promise<undefined>; readonly stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const rung = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return { rung, stop: () => clearTimeout(timer) };
}
