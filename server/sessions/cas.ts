import type { CaBundle, Envelope } from "#trust";

import type { CaSet } from "../ca-keeper.ts";
import { isTurnToRenew } from "../domain/ca-rotation.ts";
import type { Tuning } from "./tuning.ts";

/** Signs with the server's assignment key, for the organisation of the fleet. */
export type SignCas = (bundle: Omit<CaBundle, "org">) => Promise<Envelope>;

/** What sessions have to know of the fleet's CAs. */
export interface CaBook {
  /** The signed list, when agents need one beyond what they enrolled with. */
  bundle(): Promise<{ readonly version: bigint; readonly envelope: Envelope } | undefined>;
  isTrusted(pin: string): boolean;
  /** Whether an agent shall fetch a certificate of another CA now. */
  isTurnToRenew(caller: { readonly agentId: string; readonly certificateCa: string }, now: Date): boolean;
}

export interface CaBookOptions {
  readonly cas: () => CaSet;
  readonly sign: SignCas;
  readonly clock: () => Date;
  readonly tuning: Pick<Tuning, "assignmentMs" | "caRenewalMs">;
}

/** The list is signed once per version, and again when half of its life is over. */
export function createCaBook({ cas, sign, clock, tuning }: CaBookOptions): CaBook {
  let signed:
    | { readonly version: number; readonly atMs: number; readonly value: Promise<Envelope> }
    | undefined;
  return {
    bundle: async () => {
      const { bundleVersion: version, trusted } = cas();
      if (version === 0) return undefined;
      const atMs = clock().getTime();
      if (signed?.version !== version || atMs - signed.atMs >= tuning.assignmentMs / 2) {
        const expires = new Date(Math.floor((atMs + tuning.assignmentMs) / 1000) * 1000);
        const value = sign({ version, cas: trusted, expires });
        signed = { version, atMs, value };
        value.catch(() => (signed = undefined));
      }
      return { version: BigInt(version), envelope: await signed.value };
    },
    isTrusted: (pin) => cas().trustedPins.includes(pin),
    isTurnToRenew: ({ agentId, certificateCa }, now) => {
      const { issuer, switchedAtMs } = cas();
      if (switchedAtMs === undefined || certificateCa === issuer.pin) return false;
      return isTurnToRenew(agentId, switchedAtMs, now.getTime(), tuning.caRenewalMs);
    },
  };
}
