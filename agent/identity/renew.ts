import { X509Certificate } from "node:crypto";
import type { Logger } from "pino";
import { createCsr, generatePrivateKey } from "#trust";
import { issuedAtMs, renewAfterMs, retryDelayMs } from "../domain/backoff.ts";
import type { Conditions } from "../conditions.ts";
import { withEnrollmentClient } from "../link/clients.ts";
import { isIdentityRefused } from "../link/refused.ts";
import { checkIssued, endpointOf, writeIdentity } from "./identity.ts";
import type { Identity } from "./identity.ts";

/** What renewal works on. */
export interface RenewalPorts {
  readonly path: string;
  readonly log: Logger;
  get(): Identity;
  readonly conditions: Conditions;
  /** Enrols anew as the same agent, when the server does not know it any more; undefined without a join string. */
  enrollAgain(before: Identity): Promise<Identity> | undefined;
  /** Takes the new identity into use. */
  set(identity: Identity): void;
}

/** Keeps the certificate fresh: a new key and certificate at a random 40 to 60 % of life, so that a fleet spreads out. */
export interface Renewal {
  /** The server asked for it, or refuses the one at hand. */
  renewSoon(): void;
  stop(): void;
}

/** The longest wait that a timer takes. */
const timerMsMax = 2 ** 31 - 1;
/** A server that restarts is no news; from so many failures on it is a condition. */
const failuresQuiet = 3;
const notRenewed = "identity/not-renewed";

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
      const change = await renewOrEnroll(ports);
      if (isStopped) return;
      // The list of CAs may have changed meanwhile.
      const renewed = { ...ports.get(), ...change };
      writeIdentity(ports.path, renewed);
      ports.set(renewed);
      failures = 0;
      ports.conditions.clear(notRenewed);
      ports.log.info({ notAfter: new Date(renewed.notAfterMs).toISOString() }, "certificate renewed");
      // Counted from now: a clock that is wrong by days must not make every certificate look old.
      schedule(renewAfterMs(renewed.notBeforeMs, renewed.notAfterMs, Math.random()));
    } catch (error) {
      failures += 1;
      const because = (error as Error).message;
      ports.log.warn({ because, failures }, "certificate could not be renewed, will try again");
      if (failures >= failuresQuiet) tell(ports, because, failures);
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

/** A condition, for whoever looks at the node or at what the server hears once it is back. */
function tell(ports: RenewalPorts, because: string, failures: number): void {
  const { notAfterMs } = ports.get();
  const until = new Date(notAfterMs).toISOString();
  const state = Date.now() < notAfterMs ? `holds until ${until}` : `expired at ${until}`;
  ports.conditions.raise(
    notRenewed,
    `The agent's certificate ${state} and could not be renewed ${failures} times, it is tried again within a minute: ${because}`,
  );
}

/** A stored certificate is as old as its dates say, and never younger than new: this clock may be behind. */
function firstMs({ notBeforeMs, notAfterMs }: Identity): number {
  const ageMs = Math.max(0, Date.now() - issuedAtMs(notBeforeMs, notAfterMs));
  return renewAfterMs(notBeforeMs, notAfterMs, Math.random()) - ageMs;
}

/** What changes of the identity. */
async function renewOrEnroll(ports: RenewalPorts): Promise<Partial<Identity>> {
  try {
    return await renew(ports.get());
  } catch (error) {
    const before = ports.get();
    // By the server's clock an expired one may still hold, so it was tried first.
    if (Date.now() < before.notAfterMs && !isIdentityRefused(error)) throw error;
    const enrolled = ports.enrollAgain(before);
    if (enrolled === undefined) {
      ports.log.error(
        "the server does not know this agent any more, or this agent not the server; detection goes on: put a new join string into the file that FALCONRY_JOIN_FILE names",
      );
      throw error;
    }
    return enrolled;
  }
}

/** The key and its certificate. Whom to trust stays as it is: that is not for this answer to say. */
type Renewed = Pick<Identity, "privateKey" | "certificateChain" | "notBeforeMs" | "notAfterMs">;

async function renew(identity: Identity): Promise<Renewed> {
  const privateKey = generatePrivateKey();
  const csr = await createCsr(privateKey);
  const response = await withEnrollmentClient(endpointOf(identity), (client) =>
    client.renewCertificate({ csr }, { timeoutMs: 30_000 }),
  );
  // What the agent trusts judges the answer, and not what the answer would have it trust.
  const cas = identity.ca.map((pem) => new X509Certificate(pem).raw);
  return { privateKey, ...checkIssued(response.certificateChain, cas, { ...identity, privateKey }) };
}
