import type { Histogram } from "../domain/histogram.ts";
import type { OutputConfig, ServiceConfig, TlsConfig } from "#shipper";
import type { Batch, PipelineAlert } from "./batch.ts";
import type { DeadLetter } from "./dead-letter.ts";
import type { RulesElsewhere } from "./elsewhere.ts";

/** What an output has to say about itself; counters are cumulative since the pipeline began. */
export interface OutputStats {
  readonly alias: string;
  readonly plugin: string;
  readonly delivered: number;
  readonly deliveredBytes: number;
  readonly parked: number;
  /** Records that a full queue let go, where the config says so. */
  readonly dropped: number;
  readonly retries: number;
  readonly queueBytes: number;
  readonly queueRecords: number;
  /** Whether the reader waits for this output. */
  readonly full: boolean;
  /** From the time of the oldest record of a batch to its delivery; absent where nothing is queued. */
  readonly latency?: Histogram;
  readonly lastError: string | undefined;
}

/** What the pipeline knows of an output besides. */
export interface OutputReport extends OutputStats {
  /** Whether it reads the files by itself, because its queue was full and the others went on. */
  readonly isBehind: boolean;
  /** Age of the oldest record that it has not got for that, by its event time; 0 when there is none. */
  readonly behindMs: number;
}

/** Where records go. The router calls `take` at most once per turn and tag. */
export interface Output {
  readonly config: OutputConfig;
  /**
   * Takes a batch whose bytes are valid only during the call. Never throws: what can be neither delivered nor queued is
   * held in memory, and `isSettled` is false until `retry` got rid of it.
   */
  take(batch: Batch): void;
  retry(): void;
  /** Whether everything taken is delivered or on disk: only then may positions move. */
  readonly isSettled: boolean;
  /**
   * False when a sync failed: the system may have forgotten what it could not write, and the next sync would not know. What was
   * taken since the last sync that worked has to be read again, once the output was opened anew.
   */
  readonly isDurable: boolean;
  /** Whether the reader has to wait. */
  readonly isFull: boolean;
  /** Event time of the oldest record that is not delivered, undefined when there is none. */
  oldestMs(): number | undefined;
  /** Resolves when what was taken before the call survives power loss. */
  sync(): Promise<void>;
  stats(): OutputStats;
  /** Delivers what it can until the deadline (ms since the epoch); the rest stays on disk. */
  close(deadlineMs: number): Promise<void>;
}

/** What outputs get from the pipeline. */
export interface OutputContext {
  readonly clusterId: string;
  readonly service: ServiceConfig;
  readonly queueDir: string;
  readonly deadLetter: DeadLetter;
  readonly onProblem: (code: string, message: string) => void;
  /** Where `detect` sends records, when another program runs the rules and takes any. */
  readonly records?: RulesElsewhere["records"];
  /** Called when an output has room again. */
  readonly onRoom: () => void;
  /** Whether a folder, by its real path, may be written to. */
  readonly mayWrite: (folder: string) => boolean;
  /** Why a destination that the config does not name may not be sent to, or undefined when it may. */
  readonly destinationProblem: (
    to: { readonly host: string; readonly port: number },
    tls: TlsConfig | undefined,
  ) => string | undefined;
  /** Whether a file, by its real path, may be used as a secret. */
  readonly mayUseSecret: (file: string) => boolean;
  /** Hands alerts to the main thread; resolves when it has delivered them, rejects when it never will. */
  readonly deliverAlerts: (alerts: readonly PipelineAlert[], signal: AbortSignal) => Promise<void>;
}
