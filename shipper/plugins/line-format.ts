import type { ContainerFormat, LineFormat } from "../config.ts";
import type { Options } from "../options.ts";

/** Parsers that need no definition; `none` is the same as no parser. */
export const builtInParsers: readonly string[] = ["json", "cri", "docker", "auditd", "none"];

const joinable = ["cri", "docker"] as const;

/** What `parser` or `multiline.parser` make of lines. That a parser's name is known is checked when all files are read. */
export function readLineFormat(options: Options, otherwise: "text" | "json"): LineFormat {
  const parser = options.entry("parser");
  const multiline = options.entry("multiline.parser");
  if (parser !== undefined && multiline !== undefined) {
    options.refuse(multiline, '"multiline.parser" and "parser" exclude each other: leave one of them out');
  }
  if (multiline !== undefined) return readMultiline(options);
  const text: LineFormat = { kind: "text", key: options.text("key", "log") };
  switch (parser?.value) {
    case undefined:
      return otherwise === "json" ? { kind: "json" } : text;
    case "none":
      return text;
    case "auditd":
      return { kind: "auditd" };
    // The keys of the parser that Fluent Bit ships under this name.
    case "cri":
      return { kind: "container", accepts: ["cri"], flagKey: "logtag", textKey: "message" };
    case "docker":
      return container(["docker"]);
    default:
      return { kind: "json" };
  }
}

/** The built-in ones only: `docker, cri` tries both, line by line, as in Fluent Bit. */
function readMultiline(options: Options): ContainerFormat {
  const names = options
    .text("multiline.parser", "")
    .split(",")
    .map((name) => name.trim().toLowerCase());
  const accepts = names.flatMap((name) => joinable.find((one) => one === name) ?? []);
  if (accepts.length === names.length) return container(accepts);
  const place = options.entry("multiline.parser") ?? options.section;
  const wrong = names.filter((name) => joinable.every((one) => one !== name));
  options.refuse(
    place,
    `"multiline.parser" has "${wrong.join(", ")}", which is not supported. Supported: ${joinable.join(", ")}`,
  );
  return container(joinable);
}

/** The keys that `multiline.parser cri` gives in Fluent Bit. */
function container(accepts: ContainerFormat["accepts"]): ContainerFormat {
  return { kind: "container", accepts, flagKey: "_p", textKey: "log" };
}
