import { ConnectError } from "@connectrpc/connect";
import { readRetryAfter } from "../domain/backoff.ts";

/** When the server said to come back, in milliseconds, if it did. */
export function retryAfterOf(error: unknown): number | undefined {
  return error instanceof ConnectError ? readRetryAfter(error.metadata.get("retry-after")) : undefined;
}
