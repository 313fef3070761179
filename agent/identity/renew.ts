import type { Logger } from "pino";
import { createCsr, generatePrivateKey } from "#trust";
import { issuedAtMs, renewAfterMs, retryDelayMs } from "../domain/backoff.ts";
import { withEnrollmentClient } from "../link/clients.ts";
import { checkIssued, endpointOf, writeIdentity } from "./identity.ts";
import type { Identity } from "./identity.ts";

/** What renewal works on. */
export interface RenewalPorts {
  readonly path: string;
  readonly log: Logger;
  get(): Identity;
  /** Enrols anew when the certificate has expired; undefined without a join string. */
  readonly enrollAgain: ((before: Identity) => Promise<Identity>) | undefined;
  /** Takes the new identity into use. */
  set(identity: Identity): void;
}

/** Keeps the certificate fresh: a new key and certificate at a random 40 to 60 % of life, so that a fleet spreads out. */
export interface Renewal {
  /** The server asked for it. */
  renewSoon(): void;
  stop(): void;
}

/** The longest wait that a timer takes. */
const timerMsMax = 2 ** 31 - 1;

export function keepCertificate(ports: RenewalPorts): Renewal {
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let busy = false;
  let asked = false;
  let isStopped = false;

  const schedule = (delayMs: number) => {
    clearTimeout(timer);
    if (isStopped) return;
    timer = setTimeout(() => void attempt(), Math.max(0, Math.min(delayMs, timerMsMax)));
  };
  const attempt = async () => {
    busy = true;
    asked = false;
    try {
      const renewed = await renewOrEnroll(ports);
      if (isStopped) return;
      writeIdentity(ports.path, renewed);
      ports.set(renewed);
      failures = 0;
      ports.log.info({ notAfter: new Date(renewed.notAfterMs).toISOString() }, "certificate renewed");
      // Counted from now: a clock that is wrong by days must not make every certificate look old.
      schedule(renewAfterMs(renewed.notBeforeMs, renewed.notAfterMs, Math.random()));
    } catch (error) {
      failures += 1;
      ports.log.warn(
        { because: (error as Error).message, failures },
        "certificate could not be renewed, will try again",
      );
      schedule(retryDelayMs(failures + 3, Math.random()));
    } finally {
      busy = false;
    }
  };
  schedule(firstMs(ports.get()));
  return {
    renewSoon: () => {
      // Asked again with every answer until it is done: the first time counts.
      if (busy || asked || failures > 0) return;
      asked = true;
      schedule(Math.random() * 5_000);
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** A stored certificate is as old as its dates say. */
function firstMs({ notBeforeMs, notAfterMs }: Identity): number {
  const ageMs = Date.now() - issuedAtMs(notBeforeMs, notAfterMs);
  return renewAfterMs(notBeforeMs, notAfterMs, Math.random()) - ageMs;
}

async function renewOrEnroll(ports: RenewalPorts): Promise<Identity> {
  const { enrollAgain, log } = ports;
  const before = ports.get();
  try {
    return await renew(before);
  } catch (error) {
    // By the server's clock it may still hold, so it was tried first.
    if (Date.now() < before.notAfterMs) throw error;
    if (enrollAgain === undefined) {
      log.error(
        "the certificate has expired, the server does not know this agent any more, detection goes on: set FALCONRY_JOIN_FILE to a file with a new join string and start the agent again",
      );
      throw error;
    }
    return enrollAgain(before);
  }
}

async function renew(identity: Identity): Promise<Identity> {
  const privateKey = generatePrivateKey();
  const csr = await createCsr(privateKey);
  const response = await withEnrollmentClient(endpointOf(identity), (client) =>
    client.renewCertificate({ csr }, { timeoutMs: 30_000 }),
  );
  return { ...identity, privateKey, ...checkIssued(response, { ...identity, privateKey }) };
}
