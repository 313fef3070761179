import { exitCodes, Failure } from "./failure.ts";

/** What an answer has to hold. A server that leaves it out has a bug, and the person is told so. */
export function present<T>(value: T | undefined, what: string): T {
  if (value !== undefined) return value;
  throw new Failure(exitCodes.bug, `The server answered without a ${what}`, [
    "This is a bug in the server, or it is of another version than this fleetctl.",
  ]);
}
