import { Code, ConnectError } from "@connectrpc/connect";

/** What TLS says when the server's certificate is of no CA that is trusted here. */
const strangeServer = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/**
 * Whether one end does not take the other for what it says it is, which trying again will not change: the identity was
 * revoked, has expired or is of a CA that was dropped, or the server is of a CA that this agent does not know.
 */
export function isIdentityRefused(error: unknown): boolean {
  if (error === undefined) return false;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string" && strangeServer.has(code)) return true;
  }
  return [Code.Unauthenticated, Code.PermissionDenied].includes(ConnectError.from(error).code);
}
