import { readdirSync } from "node:fs";
import { join } from "node:path";

import { type RootView } from "#trust";

import { Failure } from "./failure.ts";
import { onlineRoles, type Keyring, type OnlineSigners } from "./store/sign-metadata.ts";

/** Reads and makes whole sets of online keys; the shell around {@link openKeyring}. */
export interface KeySets {
  /** Makes a set in this directory, unless somebody did so first. */
  make(dir: string): void;
  read(dir: string): OnlineSigners;
}

const setsMax = 100;

/**
 * The online keys of a server: the set in `STATE/keys`, and a further one in `STATE/keys-2` and so on for each time they
 * were replaced. No set is ever moved or changed, so several servers on one directory need not agree on anything: which
 * set signs is what the published root says. The directory is looked at anew each time, because another server may
 * have made a set.
 */
export function openKeyring(stateDir: string, sets: KeySets): Keyring {
  const held = new Map<number, OnlineSigners>();
  const dirOf = (number: number) => join(stateDir, number === 1 ? "keys" : `keys-${number}`);
  const newestFirst = (): readonly OnlineSigners[] => {
    const numbers = numbersIn(stateDir);
    return numbers.map((number) => {
      const set = held.get(number) ?? sets.read(dirOf(number));
      held.set(number, set);
      return set;
    });
  };
  if (numbersIn(stateDir).length === 0) sets.make(dirOf(1));
  newestFirst();
  return {
    signersFor: (root) => {
      const all = newestFirst();
      const named = root === undefined ? undefined : all.find((set) => names(root, set));
      return named ?? present(all.at(-1));
    },
    waiting: (root) => {
      const [newest] = newestFirst();
      return newest === undefined || (root !== undefined && names(root, newest)) ? undefined : newest;
    },
    prepare: (root) => {
      const [newest] = newestFirst();
      if (newest !== undefined && (root === undefined || !names(root, newest))) return newest;
      const next = (numbersIn(stateDir)[0] ?? 0) + 1;
      if (next > setsMax) {
        throw new Failure(
          `${stateDir} holds ${setsMax} sets of online keys: remove those that no root names any more`,
          2,
        );
      }
      sets.make(dirOf(next));
      return present(newestFirst()[0]);
    },
    assignmentKey: (keyId) =>
      newestFirst().find(({ assignment }) => assignment.publicKey.keyId === keyId)?.assignment,
  };
}

/** Whether a root gives each of the three roles to the key of this set. */
function names(root: RootView, set: OnlineSigners): boolean {
  const authorities = { ...root.roles, assignment: root.assignment };
  return onlineRoles.every((role) => authorities[role]?.keys.has(set[role].publicKey.keyId) === true);
}

/** The numbers of the sets that are there, highest first. */
function numbersIn(stateDir: string): readonly number[] {
  return readdirSync(stateDir)
    .flatMap((name) => {
      if (name === "keys") return [1];
      const number = /^keys-([1-9]\d{0,3})$/.exec(name)?.[1];
      return number === undefined || number === "1" ? [] : [Number(number)];
    })
    .sort((a, b) => b - a);
}

function present(set: OnlineSigners | undefined): OnlineSigners {
  if (set !== undefined) return set;
  throw new Failure("The state directory holds no online keys any more: restore it from a backup", 2);
}
