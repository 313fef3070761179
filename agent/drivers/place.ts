import type { Reason } from "./file-driver.ts";
import { putText, readOwn } from "./swap-file.ts";

/** Where a program reads the one text that the agent writes for it. */
export interface Place {
  /** For sentences. */
  readonly name: string;
  /** Whether this agent is the one that writes there: of several it counts for all. */
  readonly isOurs: boolean;
  /** Why a text can never lie there; undefined when it can. `code` names what is wrong, without the program. */
  refuses(text: string): PlaceTrouble | undefined;
  /** What lies there; undefined when nothing does. Throws a trouble. */
  read(): Promise<string | undefined>;
  /** Puts a text there, whole or not at all; without one, what lies there goes. Throws a trouble. */
  put(text: string | undefined): Promise<void>;
  /** Has this agent count for all as soon as no other one does, also when it had nothing to write. */
  claim(): void;
  stop(): void;
}

/** Why a place cannot be read or written now: time, or people, may heal that. */
export class PlaceTrouble extends Error {
  override readonly name = "PlaceTrouble";
  /** Without the name of the program, as in "falco/CODE". */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  reasonOf(program: string): Reason {
    return { reason: `${program}/${this.code}`, detail: this.message };
  }
}

/** A file of this machine, put in place by a rename. */
export function filePlace(path: string, mode: number): Place {
  const tried = async <T>(work: () => T): Promise<T> => {
    try {
      return work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      throw new PlaceTrouble("cannot-write", `${path}: ${(error as Error).message}`);
    }
  };
  return {
    name: path,
    isOurs: true,
    refuses: () => undefined,
    read: () => tried(() => readOwn(path)),
    put: (text) => tried(() => putText(path, text, mode)),
    claim: () => {},
    stop: () => {},
  };
}
