import { openCaKey, readCas, spkiPin, type CertifiedKey, type ReadCa } from "#trust";

import { caBundleVersion, isUnderWay } from "./domain/ca-rotation.ts";
import { Failure } from "./failure.ts";
import { listCaRotations, type CaRotationRow } from "./store/ca-rotations.ts";
import type { Db } from "./store/pool.ts";

/** The CAs of the fleet, as this server acts on them. */
export interface CaSet {
  /** Makes the certificates of servers and agents. */
  readonly issuer: CertifiedKey & { readonly pin: string };
  /** DER; certificates of any of these are taken. */
  readonly trusted: readonly Uint8Array[];
  readonly trustedPins: readonly string[];
  /** The same, read: every connection of an agent is held against them. */
  readonly trustedCas: readonly ReadCa[];
  /** The version of the list that agents are sent; 0 when they need none. */
  readonly bundleVersion: number;
  /** When the issuer took over from another CA that is trusted still. */
  readonly switchedAtMs: number | undefined;
}

/** Keeps to the CAs that the database says, from the one on this server's disk on. */
export interface CaKeeper {
  current(): CaSet;
  /** Reads again, and tells `onChange` before it answers when something changed. */
  refresh(): Promise<void>;
  /** Called with each new set, one after another. */
  onChange(listener: (set: CaSet) => Promise<void>): void;
}

export interface CaKeeperOptions {
  readonly db: Db;
  /** The one on disk. */
  readonly own: CertifiedKey;
  /** Puts a CA in place of the one on disk, at once and for good. */
  readonly keep: (ca: CertifiedKey) => void;
}

/** Opens with what the database says now. A rotation that this server slept through is caught up with. */
export async function openCaKeeper({ db, own, keep }: CaKeeperOptions): Promise<CaKeeper> {
  let kept = own;
  let set: CaSet | undefined;
  const listeners: ((set: CaSet) => Promise<void>)[] = [];
  let refreshing = Promise.resolve();

  async function look(): Promise<CaSet> {
    const followed = followRotations(kept, await listCaRotations(db));
    if (followed.own !== kept) {
      keep(followed.own);
      kept = followed.own;
    }
    if (set !== undefined && isSame(set, followed.set)) return set;
    set = followed.set;
    for (const listener of listeners) await listener(set);
    return set;
  }
  const first = await look();
  return {
    current: () => set ?? first,
    refresh: () => {
      // One after another, whoever asks: a person's call, or the change feed.
      refreshing = refreshing.catch(() => {}).then(async () => void (await look()));
      return refreshing;
    },
    onChange: (listener) => {
      listeners.push(listener);
    },
  };
}

/** Goes from the CA at hand through every rotation that began with it. What follows needs nothing but the two. */
export function followRotations(
  from: CertifiedKey,
  rows: readonly CaRotationRow[],
): { readonly own: CertifiedKey; readonly set: CaSet } {
  let own = from;
  for (const row of rows) {
    if (row.phase === "finished" && row.fromPin === spkiPin(own.certificate)) own = nextOf(row, own);
  }
  const newest = rows.at(-1);
  const ownPin = spkiPin(own.certificate);
  if (newest !== undefined) {
    const wanted = newest.phase === "finished" ? newest.toPin : newest.fromPin;
    if (wanted !== ownPin) throw strange(ownPin, wanted);
  }
  const next = newest !== undefined && isUnderWay(newest) ? nextOf(newest, own) : undefined;
  const isSwitched = newest?.phase === "switched";
  const issuer = next !== undefined && isSwitched ? next : own;
  const trusted = [own, ...(next === undefined ? [] : [next])].map(({ certificate }) => certificate);
  return {
    own,
    set: {
      issuer: { ...issuer, pin: spkiPin(issuer.certificate) },
      trusted,
      trustedPins: trusted.map(spkiPin),
      trustedCas: readCas(trusted),
      bundleVersion: caBundleVersion(newest),
      switchedAtMs: isSwitched ? newest.switchedAt?.getTime() : undefined,
    },
  };
}

function nextOf(row: CaRotationRow, by: CertifiedKey): CertifiedKey {
  if (row.toKey === null) throw strange(row.fromPin, row.toPin);
  const opened = openCaKey(row.toKey, row.toCertificate, by);
  if (opened.ok) return opened.value;
  throw new Failure(`${opened.refusal.message}. Copy ca from the state directory of a server that works`, 2);
}

function strange(own: string, wanted: string): Failure {
  const why = `This server holds the CA ${own}, and the fleet's CA is ${wanted} now`;
  return new Failure(`${why}: copy ca from the state directory of another server, or from a backup`, 2);
}

function isSame(a: CaSet, b: CaSet): boolean {
  return (
    a.issuer.pin === b.issuer.pin &&
    a.bundleVersion === b.bundleVersion &&
    a.switchedAtMs === b.switchedAtMs &&
    a.trustedPins.join() === b.trustedPins.join()
  );
}
