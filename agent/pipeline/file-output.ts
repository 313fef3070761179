import { join } from "node:path";
import type { FileConfig } from "#shipper";
import { AppendFiles } from "./append-files.ts";
import type { Batch } from "./batch.ts";
import { reasonOf } from "./files.ts";
import { OutFileFormat } from "./out-file-format.ts";
import type { OutputContext } from "./output.ts";
import { QueuedOutput } from "./queued-output.ts";
import type { Delivery, Portion } from "./queued-output.ts";
import type { StoredEntry } from "./segment.ts";

/**
 * Appends records to files, one a line. Writes straight to the file while that works; when it does not (full disk, no
 * permission), records go to the queue and follow in order when it works again.
 */
export class FileOutput extends QueuedOutput {
  readonly config: FileConfig;
  protected readonly portion: Portion = { bytesMax: 4e6, countMax: 1e6, gatherMs: 0 };
  readonly #files: AppendFiles;
  readonly #format: OutFileFormat | undefined;

  constructor(config: FileConfig, context: OutputContext) {
    super(config, context);
    this.config = config;
    this.#format = config.format === "out_file" ? new OutFileFormat() : undefined;
    this.#files = new AppendFiles({
      directory: config.directory,
      mkdir: config.mkdir,
      isSyncedAtOnce: config.sync === "full",
      rotation: config.rotation,
      mayWrite: context.mayWrite,
      onProblem: (message) => this.problem("file", message),
    });
    if (!this.queue.isEmpty) this.startSender();
  }

  override get isDurable(): boolean {
    return super.isDurable && this.#files.isDurable;
  }

  override take(batch: Batch): void {
    if (!this.queue.isEmpty || !this.isSettled) return super.take(batch);
    const why = this.#write(batch.tag, batch.count, batch.oldestMs, batch.buffers());
    if (why === undefined) return undefined;
    this.problem("write", why);
    return super.take(batch);
  }

  override async sync(): Promise<void> {
    await super.sync();
    await this.#files.sync();
  }

  override async close(deadlineMs: number): Promise<void> {
    await super.close(deadlineMs);
    await this.#files.close();
  }

  protected async deliver(entries: readonly StoredEntry[]): Promise<Delivery> {
    // What is written now would be read again in any case.
    if (!this.#files.isDurable) return { kind: "retry", why: "an earlier sync of the file failed" };
    // Written once, even if a later entry fails and all come again: at least once, in order.
    for (const entry of entries) {
      const why = this.#write(entry.tag, entry.count, entry.oldestMs, [entry.body]);
      if (why !== undefined) return { kind: "retry", why };
    }
    // The queue forgets the entries now, so that the file has to be durable first.
    try {
      await this.#files.sync();
      return { kind: "done" };
    } catch (error) {
      return { kind: "retry", why: reasonOf(error) };
    }
  }

  /** Appends whole lines or nothing; says why when it cannot. */
  #write(tag: string, count: number, oldestMs: number, buffers: readonly Buffer[]): string | undefined {
    const lines = this.#format === undefined ? buffers : [this.#format.lines(tag, buffers, oldestMs)];
    const name = this.config.file ?? fileNameOf(tag);
    try {
      this.#files.append(name, lines, Date.now());
      this.delivered += count;
      this.deliveredBytes += buffers.reduce((sum, buffer) => sum + buffer.length, 0);
      return undefined;
    } catch (error) {
      return `cannot write to ${join(this.config.directory, name)}: ${reasonOf(error)}`;
    }
  }
}

/** A tag may hold anything; a file name may not, and has 255 bytes at most. */
function fileNameOf(tag: string): string {
  const name = tag.replaceAll("/", ".").replaceAll("\0", "");
  return /^\.{0,2}$/.test(name) ? `tag${name}` : name;
}
