import type { CaBundle, Envelope } from "#trust";

import type { CaSet } from "../ca-keeper.ts";
import { isTurnToRenew } from "../domain/ca-rotation.ts";
import type { Tuning } from "./tuning.ts";

/** Signs with the assignment key that the newest root names, for the organisation of the fleet. */
export type SignCas = (bundle: Omit<CaBundle, "org">, root: Uint8Array | undefined) => Promise<Envelope>;

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
  /** The newest root; the same bytes until another may be there. */
  readonly root: () => Promise<Uint8Array | undefined>;
  readonly clock: () => Date;
  readonly tuning: Pick<Tuning, "assignmentMs" | "caRenewalMs">;
}

/** The list is signed once per version and root, and again when half of its life is over. */
export function createCaBook({ cas, sign, root: readNewest, clock, tuning }: CaBookOptions): CaBook {
  let signed:
    | {
        readonly version: number;
        readonly root: Uint8Array | undefined;
        readonly atMs: number;
        readonly value: Promise<Envelope>;
      }
    | undefined;
  return {
    bundle: async () => {
      if (cas().bundleVersion === 0) return undefined;
      const root = await readNewest();
      const { bundleVersion: version, trusted } = cas();
      const atMs = clock().getTime();
      const isSame = signed?.version === version && signed.root === root;
      if (signed === undefined || !isSame || atMs - signed.atMs >= tuning.assignmentMs / 2) {
        const expires = new Date(Math.floor((atMs + tuning.assignmentMs) / 1000) * 1000);
        const value = sign({ version, cas: trusted, expires }, root);
        signed = { version, root, atMs, value };
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
