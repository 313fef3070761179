import type { Logger } from "pino";

import { consoleFolder, createConsole, type Console } from "./console.ts";
import { createBrowserSignIn } from "./oidc/browser.ts";
import type { Provider } from "./oidc/provider.ts";
import { logIn, type LoginOptions } from "./rpc/login.ts";

export interface ConsoleParts extends LoginOptions {
  /** Undefined when people come with API tokens only. */
  readonly provider: Provider | undefined;
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  readonly log: Logger;
}

/** The console as this server hands it out, with the way to the identity provider where there is one. */
export function openConsole({ provider, publicAddress, log, ...login }: ConsoleParts): Console {
  if (provider === undefined) return createConsole(consoleFolder);
  const { now } = login;
  const options = { provider, publicAddress, log, now };
  const browser = createBrowserSignIn({ ...options, logIn: (claims) => logIn(login, provider, claims) });
  return createConsole(consoleFolder, { browser, log });
}
