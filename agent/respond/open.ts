import type { Logger } from "pino";
import { readAllowList } from "../allow-list.ts";
import type { Conditions } from "../conditions.ts";
import type { Config } from "../config.ts";
import { pathsOf } from "../config.ts";
import type { Identity } from "../identity/identity.ts";
import type { AgentConnection } from "../link/clients.ts";
import { openBook } from "./book.ts";
import type { BookStore } from "./book.ts";
import { openKube } from "./kube.ts";
import { createResponder } from "./responder.ts";
import type { Responder } from "./responder.ts";
import { createTeller } from "./tell.ts";
import { openWebhook } from "./webhook.ts";

export interface RespondOptions {
  readonly config: Config;
  readonly identity: () => Identity;
  readonly client: () => AgentConnection["client"] | undefined;
  readonly conditions: Conditions;
  readonly log: Logger;
}

/** Everything that responses to alerts take, as far as this agent's allow-list and installation go. */
export function openResponder({ config, identity, client, conditions, log }: RespondOptions): Responder & {
  /** To be called when there is a connection again. */
  readonly tell: () => void;
} {
  const allowList = readAllowList(config.allowListFile);
  const book = bookOf(pathsOf(config.stateDir).responses, conditions);
  const teller = createTeller({ book: book ?? nothing, identity, client, log });
  const { clusterId: id, clusterName: name } = identity();
  const responder = createResponder({
    book: book ?? nothing,
    grant: book === undefined ? undefined : allowList.responses,
    kube: config.kube === undefined ? undefined : openKube(config.kube),
    webhook: openWebhook(allowList),
    cluster: { id, name },
    conditions,
    log,
    onNews: () => teller.nudge(),
  });
  return {
    ...responder,
    tell: () => teller.nudge(),
    async stop() {
      await responder.stop();
      teller.stop();
    },
  };
}

/** A book that cannot be read keeps nothing else of the agent from running. */
function bookOf(path: string, conditions: Conditions): BookStore | undefined {
  try {
    return openBook(path);
  } catch (error) {
    conditions.raise("response/state", `Nothing is done about alerts: ${(error as Error).message}`);
    return undefined;
  }
}

const nothing: BookStore = { get: () => ({ ledger: [], outbox: [], lost: 0 }), set: () => {} };
