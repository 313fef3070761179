import { X509Certificate } from "node:crypto";
import type { Logger } from "pino";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { certificateToPem, createCsr, generatePrivateKey } from "#trust";
import { renewAtMs, retryDelayMs } from "../domain/backoff.ts";
import { withEnrollmentClient } from "../link/clients.ts";
import { endpointOf, writeIdentity } from "./identity.ts";
import type { Identity } from "./identity.ts";

/** What renewal works on. */
export interface RenewalPorts {
  readonly path: string;
  readonly log: Logger;
  get(): Identity;
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

  const schedule = (delayMs: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => void attempt(), Math.max(0, Math.min(delayMs, timerMsMax)));
  };
  const attempt = async () => {
    busy = true;
    asked = false;
    try {
      const renewed = await renew(ports.get());
      writeIdentity(ports.path, renewed);
      ports.set(renewed);
      failures = 0;
      ports.log.info({ notAfter: new Date(renewed.notAfterMs).toISOString() }, "certificate renewed");
      schedule(nextMs(renewed));
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
  schedule(nextMs(ports.get()));
  return {
    renewSoon: () => {
      // Asked again with every answer until it is done: the first time counts.
      if (busy || asked || failures > 0) return;
      asked = true;
      schedule(Math.random() * 5_000);
    },
    stop: () => clearTimeout(timer),
  };
}

function nextMs(identity: Identity): number {
  return renewAtMs(identity.notBeforeMs, identity.notAfterMs, Math.random()) - Date.now();
}

async function renew(identity: Identity): Promise<Identity> {
  const privateKey = generatePrivateKey();
  const csr = await createCsr(privateKey);
  const response = await withEnrollmentClient(endpointOf(identity), (client) =>
    client.renewCertificate({ csr }, { timeoutMs: 30_000 }),
  );
  const [leaf] = response.certificateChain;
  if (leaf === undefined) throw new Error(`${EnrollmentService.typeName} answered without a certificate`);
  const certificate = new X509Certificate(leaf);
  return {
    ...identity,
    privateKey,
    certificateChain: response.certificateChain.map(certificateToPem).join("\n"),
    ca: response.caCertificates.map(certificateToPem),
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}
