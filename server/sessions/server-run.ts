import { randomUUID } from "node:crypto";

/** Who holds sessions: this server, for as long as it can keep them. */
export interface ServerRun {
  readonly id: string;
  /** The database was away, so agents lost sessions here for no fault of theirs. From now on it is another run. */
  lost(): void;
}

export function createServerRun(): ServerRun {
  // Short, because agents' rows remember many; that two are alike is unlikely among the few that one agent meets.
  const server = randomUUID().slice(0, 8);
  let losses = 0;
  return {
    get id() {
      return `${server}/${losses}`;
    },
    lost: () => {
      losses += 1;
    },
  };
}
