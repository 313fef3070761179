import { join, resolve } from "node:path";

/** Where the local fleet keeps everything; one directory, so that removing it removes the fleet. */
export interface Layout {
  readonly root: string;
  readonly postgres: string;
  readonly server: string;
  /** Offline keys and what they signed. */
  readonly trust: string;
  readonly bundles: string;
  readonly logs: string;
  /** Processes that were started, so that the next start finds what a crash left behind. */
  readonly processes: string;
  readonly sink: string;
  cluster(name: string): ClusterLayout;
}

/** One cluster's machine, as far as it matters: its audit log and its agent. */
export interface ClusterLayout {
  readonly dir: string;
  readonly auditLog: string;
  readonly ledger: string;
  readonly output: string;
  readonly events: string;
  readonly agent: string;
  readonly joinFile: string;
  readonly allowFile: string;
}

export function layoutOf(stateDir: string): Layout {
  const root = resolve(stateDir);
  return {
    root,
    postgres: join(root, "postgres"),
    server: join(root, "server"),
    trust: join(root, "trust"),
    bundles: join(root, "bundles"),
    logs: join(root, "logs"),
    processes: join(root, "processes.json"),
    sink: join(root, "sink"),
    cluster(name) {
      const dir = join(root, "clusters", name);
      return {
        dir,
        auditLog: join(dir, "audit", "audit.log"),
        ledger: join(dir, "audit.ledger.jsonl"),
        output: join(dir, "output"),
        events: join(dir, "output", "events.jsonl"),
        agent: join(dir, "agent"),
        joinFile: join(dir, "join"),
        allowFile: join(dir, "allow.json"),
      };
    },
  };
}
