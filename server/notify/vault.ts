import { openSealed, readRoot, seal } from "#trust";

import type { Receiver, Secrets } from "../domain/notify/receiver.ts";
import { findMetadata } from "../store/metadata.ts";
import {
  listReceiversSealedByOthers,
  resealReceiver,
  type ReceiverRow,
  type Sealed,
} from "../store/notification-receivers.ts";
import type { Db } from "../store/pool.ts";
import type { Keyring } from "../store/sign-metadata.ts";

const purpose = "falconry: secrets of a receiver of notifications; version 2";

/** Where secrets go. They open there alone: who can write to the database sends them nowhere else. */
type Place = Pick<Receiver, "name" | "kind" | "settings">;

function bound({ name, kind, settings }: Place): string {
  const pairs = Object.entries(settings).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([name, kind, pairs]);
}

/** Seals what only servers may know of receivers, by the online assignment key, which all servers of a fleet hold. */
export interface Vault {
  seal(receiver: Place, secrets: Secrets): Promise<Sealed>;
  /** Undefined when the key that sealed them is not here, or they or where they go were altered. */
  open(receiver: Place & Pick<ReceiverRow, "sealed" | "sealKey">): Secrets | undefined;
  /** Seals again, by the key that signs now, what earlier keys sealed. */
  reseal(): Promise<void>;
}

export function createVault(db: Db, keyring: Pick<Keyring, "signersFor" | "assignmentKey">): Vault {
  const presentKey = async () => {
    const root = await findMetadata(db, "root");
    const view = root === undefined ? undefined : readRoot(root.body);
    if (view !== undefined && !view.ok) throw new Error(view.refusal.message);
    return keyring.signersFor(view?.value).assignment;
  };
  const vault: Vault = {
    seal: async (receiver, secrets) => {
      const secretNames = Object.keys(secrets).toSorted();
      if (secretNames.length === 0) return { sealed: null, sealKey: null, secretNames };
      const { privateKey, publicKey } = await presentKey();
      const sealed = seal(JSON.stringify(secrets), { by: privateKey, purpose, bound: bound(receiver) });
      return { sealed, sealKey: publicKey.keyId, secretNames };
    },
    open: (receiver) => {
      const { sealed, sealKey } = receiver;
      if (sealed === null || sealKey === null) return {};
      const key = keyring.assignmentKey(sealKey);
      if (key === undefined) return undefined;
      const text = openSealed(sealed, { by: key.privateKey, purpose, bound: bound(receiver) });
      return text === undefined ? undefined : (JSON.parse(text) as Secrets);
    },
    reseal: async () => {
      const { keyId } = (await presentKey()).publicKey;
      for (const row of await listReceiversSealedByOthers(db, keyId)) {
        const secrets = vault.open(row);
        if (secrets !== undefined) await resealReceiver(db, row, await vault.seal(row, secrets));
      }
    },
  };
  return vault;
}
