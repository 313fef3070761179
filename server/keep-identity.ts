import type { CaKeeper } from "./ca-keeper.ts";
import type { HttpServer } from "./http.ts";
import { issueIdentity } from "./state.ts";

/** Renews the server's certificate when half of its life is over, and when the CAs change. */
export function keepIdentity(
  http: HttpServer,
  keeper: CaKeeper,
  hosts: readonly string[],
  lifetimeMs: number,
) {
  let renewAtMs = new Date().getTime() + lifetimeMs / 2;
  const renew = async () => {
    http.replaceIdentity(await issueIdentity(keeper.current(), hosts, new Date(), lifetimeMs));
    renewAtMs = new Date().getTime() + lifetimeMs / 2;
  };
  keeper.onChange(renew);
  return async () => {
    if (new Date().getTime() >= renewAtMs) await renew();
  };
}
