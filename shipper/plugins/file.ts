import type { FileConfig, RotationConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";

const formats = ["out_file", "plain"] as const;
const secondMs = 1000;
const yearMs = 365 * 86_400 * secondMs;

/** `file`, with rotation, which Fluent Bit leaves to others. */
export const file: Plugin<FileConfig> = {
  name: "file",
  options: {
    ...outputOptions,
    path: "used",
    file: "used",
    format: "used",
    mkdir: "used",
    sync: "used",
    rotate_size: "used",
    rotate_interval: "used",
    rotate_keep: "used",
    rotate_compress: "used",
  },
  read(options, alias) {
    return {
      ...readOutputBase(options, alias),
      plugin: "file",
      directory: readDirectory(options),
      file: readFileName(options),
      format: readFormat(options),
      mkdir: options.boolean("mkdir", true),
      sync: options.oneOf("sync", ["normal", "full"], "normal"),
      rotation: readRotation(options),
    };
  },
};

function readDirectory(options: Options): string {
  const directory = options.required("path", '"path /var/lib/...": the folder to write to');
  if (directory !== "" && !directory.startsWith("/")) {
    const place = options.entry("path") ?? options.section;
    options.refuse(place, `"path" is "${directory}" and has to be absolute`);
  }
  return directory;
}

function readFileName(options: Options): string | undefined {
  const name = options.text("file");
  if (name !== undefined && (name === "" || name === "." || name === ".." || name.includes("/"))) {
    const place = options.entry("file") ?? options.section;
    options.refuse(place, `"file" is "${name}" and has to be a plain file name`);
  }
  return name;
}

/** Formats that lose types or keys are not written: what is in such a file cannot be read back. */
function readFormat(options: Options): FileConfig["format"] {
  const entry = options.entry("format");
  const written = options.text("format", "out_file").toLowerCase();
  if (["csv", "ltsv", "template", "msgpack"].includes(written)) {
    const what = `"format ${written}" is not supported, because records cannot be read back from it as they were`;
    options.refuse(entry ?? options.section, `${what}: write "format plain" (JSON lines)`);
    return "plain";
  }
  return options.oneOf("format", formats, "out_file");
}

function readRotation(options: Options): RotationConfig {
  const has = (key: string) => options.entry(key) !== undefined;
  const bytesMax = has("rotate_size") ? options.size("rotate_size", 0, 1_000_000, 1e12) : undefined;
  const intervalMs = has("rotate_interval")
    ? options.duration("rotate_interval", yearMs, 60 * secondMs, yearMs)
    : undefined;
  const keepsAll = ["all", undefined].includes(options.text("rotate_keep")?.toLowerCase());
  const rotation = {
    bytesMax,
    intervalMs,
    keep: keepsAll ? undefined : options.integer("rotate_keep", 1, 1, 100_000),
    compress: options.oneOf("rotate_compress", ["none", "gzip"], "none") === "gzip",
  };
  const orphan = options.entry("rotate_keep") ?? options.entry("rotate_compress");
  if (orphan !== undefined && bytesMax === undefined && intervalMs === undefined) {
    const why = `"${orphan.key}" has no effect: add "rotate_size 100M" or "rotate_interval 1d"`;
    options.refuse(orphan, why);
  }
  return rotation;
}
