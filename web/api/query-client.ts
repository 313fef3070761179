import { createConnectQueryKey } from "@connectrpc/connect-query";
import { matchQuery, QueryCache, QueryClient, type Query } from "@tanstack/react-query";
import { AuthService } from "#proto/fleet/v1/auth";
import { isPassing, isSignedOut } from "./transport.ts";

const whoAmI = {
  queryKey: createConnectQueryKey({ schema: AuthService.method.whoAmI, cardinality: "finite" }),
} as const;

/** Parts of keys that are left out match anything. */
function isWhoAmI(query: Query): boolean {
  return matchQuery({ queryKey: [...whoAmI.queryKey] }, query);
}

/** What the console has heard and when to ask again. Nothing is kept that the server did not say. */
export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      // Whoever is signed out somewhere is so everywhere: the page of the sign-in follows from asking who we are.
      if (isSignedOut(error) && !isWhoAmI(query as Query)) void askWhoAmI();
    },
  }),
  defaultOptions: {
    queries: {
      retry: (count, error) => count < 2 && isPassing(error),
      staleTime: 2_000,
      refetchOnWindowFocus: true,
      // Messages are no plain objects: comparing them part by part costs more than drawing them.
      structuralSharing: false,
    },
  },
});

let asking: Promise<void> | undefined;

/** Once at a time, however many calls are refused together. */
export function askWhoAmI(): Promise<void> {
  asking ??= queryClient.invalidateQueries({ predicate: isWhoAmI }).finally(() => (asking = undefined));
  return asking;
}

/** Forgets everything, as somebody else may come. */
export function forgetAll(): Promise<void> {
  queryClient.removeQueries({ predicate: (query) => !isWhoAmI(query) });
  return askWhoAmI();
}
