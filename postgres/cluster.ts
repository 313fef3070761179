import { setTimeout as delay } from "node:timers/promises";
import type { Binaries } from "./binaries.ts";
import { explain, PostgresError } from "./errors.ts";
import { clearLeftovers } from "./leftovers.ts";
import { keepLogSmall, openLog } from "./log-file.ts";
import { type Place, removeOutsideSockets } from "./place.ts";
import {
  commandLine,
  findPostmaster,
  type Postmaster,
  spawnPostmaster,
  stopPostmaster,
} from "./postmaster.ts";
import { waitUntilReady } from "./ready.ts";

export interface ClusterOptions {
  readonly settings: Readonly<Record<string, string>>;
  readonly log: (message: string, facts: Readonly<Record<string, unknown>>) => void;
  readonly onRestart: (restarts: number) => void;
}

const readyDeadlineMs = 120_000; // After a crash it replays its log first.
const stopDeadlineMs = 20_000;
const backoffMaxMs = 10_000;
const healthyMs = 60_000;

/** One cluster and its life: up, kept up, down. */
export class Cluster {
  restarts = 0;
  private postmaster: Postmaster | undefined;
  private readonly stopping = new AbortController();
  private readonly command: readonly string[];
  private readonly place: Place;
  private readonly options: ClusterOptions;

  constructor(binaries: Binaries, place: Place, options: ClusterOptions) {
    this.command = commandLine(binaries.postgres, place, options.settings);
    this.place = place;
    this.options = options;
  }

  get pid(): number | undefined {
    return this.postmaster?.pid;
  }

  /** Takes over the server that runs on these files with these settings, or starts one. An abort ends that, and it throws. */
  async up(signal?: AbortSignal): Promise<"adopted" | "started"> {
    const giveUp = () => this.stopping.abort();
    signal?.addEventListener("abort", giveUp);
    try {
      signal?.throwIfAborted();
      return await this.rise();
    } catch (cause) {
      if (signal?.aborted !== true) throw cause;
      throw new PostgresError(`The start of Postgres in ${this.place.data} was interrupted`, { cause });
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  private async rise(): Promise<"adopted" | "started"> {
    const found = findPostmaster(this.command, this.place);
    // One that is just shutting down does not answer any more; then a new one is due, as if none had been found.
    if (found.kind === "same" && (await this.answer(found.postmaster)) === undefined) {
      this.postmaster = found.postmaster;
      this.options.log("took over a running Postgres", { pid: this.pid, data: this.place.data });
      return "adopted";
    }
    if (found.kind === "other") {
      this.options.log("stopping a Postgres with other settings", { pid: found.postmaster.pid });
      await stopPostmaster(found.postmaster, stopDeadlineMs);
    }
    this.postmaster = await this.launch();
    this.options.log("Postgres is up", { pid: this.pid, data: this.place.data });
    return "started";
  }

  /** Resolves after {@link down}; until then every death is followed by a start, sooner or later. */
  async keepUp(): Promise<void> {
    let tries = 0;
    while (!this.stopping.signal.aborted) {
      const since = performance.now();
      const how = await this.postmaster?.gone;
      if (this.stopping.signal.aborted) return;
      this.postmaster = undefined;
      this.options.log("Postgres died, starting it again", { how });
      if (performance.now() - since > healthyMs) tries = 0;
      while (!this.stopping.signal.aborted && this.postmaster === undefined) {
        await this.pause(Math.min(100 * 2 ** tries, backoffMaxMs));
        tries += 1;
        await this.comeBack();
      }
    }
  }

  /** Ends the server and its watch. */
  async down(watching: Promise<void>): Promise<void> {
    this.stopping.abort();
    if (this.postmaster !== undefined) await stopPostmaster(this.postmaster, stopDeadlineMs);
    await watching;
    // A start that was under way when we stopped may have succeeded in between.
    if (this.postmaster !== undefined) await stopPostmaster(this.postmaster, stopDeadlineMs);
    this.postmaster = undefined;
    removeOutsideSockets(this.place);
    this.options.log("Postgres is down", { data: this.place.data });
  }

  private async comeBack(): Promise<void> {
    if (this.stopping.signal.aborted) return;
    try {
      await this.up();
      this.restarts += 1;
      this.options.onRestart(this.restarts);
    } catch (error) {
      // Nobody waits for this start: it is reported here and tried again until it succeeds or we are stopped.
      if (!this.stopping.signal.aborted) {
        this.options.log("Postgres does not start, trying again", { error: String(error) });
      }
    }
  }

  private async launch(): Promise<Postmaster> {
    const { place } = this;
    for (let attempt = 1; ; attempt += 1) {
      await clearLeftovers(place);
      keepLogSmall(place.log);
      const said = openLog(place.log);
      const postmaster = await spawnPostmaster(this.command, place).catch((cause: unknown) => {
        throw explain("Postgres cannot be run", String(this.command[0]), String(cause));
      });
      const died = await this.answer(postmaster);
      if (died === undefined) return postmaster;
      // Backends of a killed postmaster need a moment to notice; until then the shared memory is theirs.
      const isPassing = /is still in use|lock file .* already exists/.test(said());
      if (!isPassing || attempt === 20 || this.stopping.signal.aborted) {
        throw explain(`Postgres ended while starting (${died})`, place.data, said());
      }
      await this.pause(250);
    }
  }

  /** Resolves to undefined when the server answers, or to the way it died before it did. */
  private async answer(postmaster: Postmaster): Promise<string | undefined> {
    const ended = new AbortController();
    const died = postmaster.gone.then((how) => {
      ended.abort();
      return how;
    });
    const signal = AbortSignal.any([ended.signal, this.stopping.signal]);
    try {
      await waitUntilReady(this.place.sockets, readyDeadlineMs, signal);
      return undefined;
    } catch (error) {
      if (ended.signal.aborted) return await died;
      await stopPostmaster(postmaster, stopDeadlineMs);
      throw error;
    }
  }

  private async pause(ms: number): Promise<void> {
    // Being stopped ends the pause early; that is all the rejection says.
    await delay(ms, undefined, { signal: this.stopping.signal }).catch(() => {});
  }
}
