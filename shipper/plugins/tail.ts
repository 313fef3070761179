import type { TailConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Plugin } from "./common.ts";
import { readLineFormat } from "./line-format.ts";

const positions = "positions are kept by device, inode and fingerprint in the agent's own checkpoint";
const polling = "files are polled, so no watcher can miss an event";

/** `tail`. A line that is too long or no JSON is set aside with its position, never dropped, whatever the options say. */
export const tail: Plugin<TailConfig> = {
  name: "tail",
  options: {
    name: "used",
    alias: "used",
    tag: "used",
    path: "used",
    exclude_path: "used",
    parser: "used",
    "multiline.parser": "used",
    key: "used",
    path_key: "used",
    offset_key: "used",
    read_from_head: "used",
    refresh_interval: "used",
    rotate_wait: "used",
    buffer_chunk_size: "used",
    buffer_max_size: "used",
    skip_empty_lines: "used",
    read_newly_discovered_files_from_head: "used",
    ignore_older: "used",
    exit_on_eof: "used",
    skip_long_lines: { ignored: "a long line is always set aside with its position" },
    truncate_long_lines: { ignored: "a long line is always set aside whole, with its position" },
    ignore_active_older_files: { ignored: "a file that is known is kept in sight as long as it exists" },
    db: { ignored: positions },
    "db.sync": { ignored: positions },
    "db.locking": { ignored: positions },
    "db.journal_mode": { ignored: positions },
    "db.compare_filename": { ignored: positions },
    mem_buf_limit: { ignored: "outputs queue on disk, memory is bounded by the chunk size" },
    "storage.type": { ignored: "outputs always queue on disk" },
    "storage.pause_on_chunks_overlimit": { ignored: "a full queue always pauses the reader" },
    static_batch_size: { ignored: "files are read in turns" },
    event_batch_size: { ignored: "files are read in turns" },
    inotify_watcher: { ignored: polling },
    progress_check_interval: { ignored: polling },
    watcher_interval: { ignored: polling },
    file_cache_advise: { ignored: "the page cache is left alone" },
    threaded: { ignored: "the pipeline has its own thread" },
  },
  read(options, alias) {
    const chunkBytes = options.size("buffer_chunk_size", 1_048_576, 4096, 16_777_216);
    return {
      plugin: "tail",
      at: placeOf(options.section),
      alias,
      paths: readPaths(options, "path", true),
      excludePaths: readPaths(options, "exclude_path", false),
      tag: options.text("tag", alias),
      format: readLineFormat(options, "text"),
      pathKey: readKey(options, "path_key"),
      offsetKey: readKey(options, "offset_key"),
      readFromHead: options.boolean("read_from_head", true),
      newFilesFromHead: options.boolean("read_newly_discovered_files_from_head", true),
      ignoreOlderMs: readIgnoreOlder(options),
      refreshMs: options.duration("refresh_interval", 5000, 100, 86_400_000),
      rotateWaitMs: options.duration("rotate_wait", 5000, 0, 86_400_000),
      chunkBytes: Math.max(chunkBytes, 65_536),
      lineBytesMax: options.size("buffer_max_size", 4_194_304, 4096, 67_108_864),
      skipEmptyLines: options.boolean("skip_empty_lines", false),
      exitOnEof: options.boolean("exit_on_eof", false),
    };
  },
};

/** A comma list: of absolute globs, or of patterns to leave out, which may fit any part of a path. */
function readPaths(options: Options, key: string, required: boolean): readonly string[] {
  const entry = options.entry(key);
  const text = required
    ? options.required(key, `"${key} /var/log/...": it says what to read`)
    : options.text(key, "");
  const paths = text.split(",").map((path) => path.trim());
  const found = paths.filter((path) => path !== "");
  for (const path of found) {
    if (required && !path.startsWith("/")) {
      options.refuse(
        entry ?? options.section,
        `"${key}" is "${path}" and has to be absolute: begin it with /`,
      );
    }
  }
  return found;
}

function readKey(options: Options, key: string): string | undefined {
  const value = options.text(key);
  return value === "" ? undefined : value;
}

/** Fluent Bit takes 0 for "never". */
function readIgnoreOlder(options: Options): number | undefined {
  const ms = options.duration("ignore_older", 0, 0, 31_536_000_000);
  return ms === 0 ? undefined : ms;
}
