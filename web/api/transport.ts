import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

/** What makes a call one of the console's: pages of other origins cannot send it. The server reads the cookie only beside it. */
const ours: Interceptor = (next) => (request) => {
  request.header.set("X-Falconry-Console", location.port === "" ? "443" : location.port);
  return next(request);
};

export const transport = createConnectTransport({
  baseUrl: location.origin,
  useBinaryFormat: true,
  interceptors: [ours],
  // A cookie is all that we have; it goes to where the page came from and nowhere else.
  fetch: (input, init) => fetch(input, { ...init, credentials: "same-origin", redirect: "error" }),
});

/** A refusal in the server's own words, with its code; or what kept us from hearing one. */
export function refusalOf(error: unknown): { readonly code: string; readonly sentence: string } {
  const refusal = ConnectError.from(error);
  const code = Code[refusal.code].replaceAll(/(?<!^)(?=[A-Z])/g, "_").toUpperCase();
  const isAway = refusal.cause instanceof TypeError;
  return {
    code: isAway ? "UNREACHABLE" : code,
    sentence: isAway ? "The server cannot be reached" : refusal.rawMessage,
  };
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unauthenticated;
}

/** Whether there is no such thing, or none that whoever asks may see. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.NotFound;
}

/** What trying again may mend. */
export function isPassing(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Unavailable || code === Code.Unknown || code === Code.ResourceExhausted;
}
