import { problemAt } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";
import type { ConfigFile, Entry, Include, Section, SectionKind, Sections } from "./section.ts";
import { refusalOf } from "./unsupported.ts";

const kinds: Readonly<Record<string, SectionKind>> = {
  service: "service",
  parser: "parser",
  input: "input",
  filter: "filter",
  output: "output",
};

interface Draft {
  readonly section: Section;
  readonly entries: Entry[];
}

/**
 * Reads the classic format: `[SECTION]` lines, then indented `Key Value` lines. Comments begin a line; a `#` inside a
 * value belongs to the value, as in Fluent Bit.
 */
export function readClassic(file: ConfigFile): Sections {
  const problems: Problem[] = [];
  const drafts: Draft[] = [];
  const includes: Include[] = [];
  /** The section whose entries follow; an @SET or @INCLUDE in between does not end it. */
  let open: Draft | undefined;
  let skipping = false;
  for (const [index, raw] of file.content.split("\n").entries()) {
    const text = raw.trimEnd();
    const indent = text.length - text.trimStart().length;
    const body = text.trimStart();
    const place: Place = { file: file.name, line: index + 1, column: indent + 1 };
    if (body === "" || body.startsWith("#")) continue;
    if (body.startsWith("@")) {
      readCommand(body, place, drafts, includes, problems);
    } else if (body.startsWith("[")) {
      const draft = readHeader(body, place, problems);
      skipping = draft === undefined;
      open = draft;
      if (draft !== undefined) drafts.push(draft);
    } else if (!skipping) {
      readEntry(body, place, open, problems);
    }
  }
  const sections = drafts.map((draft) => ({ ...draft.section, entries: draft.entries }));
  return { sections, includes, problems };
}

function readHeader(body: string, place: Place, problems: Problem[]): Draft | undefined {
  const end = body.indexOf("]");
  if (end === -1) {
    problems.push(problemAt(place, `Section "${body}" has no closing bracket: write ${body}]`));
    return undefined;
  }
  const name = body.slice(1, end).trim();
  const kind = Object.hasOwn(kinds, name.toLowerCase()) ? kinds[name.toLowerCase()] : undefined;
  if (kind === undefined) {
    const known = Object.keys(kinds).map((k) => `[${k.toUpperCase()}]`);
    problems.push(problemAt(place, refusalOf(name, `[${name}]`, known.join(", "))));
    return undefined;
  }
  return draft(kind, place);
}

function draft(kind: SectionKind, place: Place): Draft {
  return { section: { ...place, kind, entries: [] }, entries: [] };
}

function readEntry(body: string, place: Place, open: Draft | undefined, problems: Problem[]): void {
  if (open === undefined) {
    problems.push(
      problemAt(place, `"${body.slice(0, 40)}" stands before any section: begin with one, such as [INPUT]`),
    );
    return;
  }
  const gap = body.search(/\s/);
  const key = gap === -1 ? body : body.slice(0, gap);
  const value = gap === -1 ? "" : body.slice(gap).trim();
  open.entries.push({ ...place, key: key.toLowerCase(), value });
}

/** `@SET NAME=VALUE` is a variable of this config, `@INCLUDE FILE` another file of the bundle. */
function readCommand(
  body: string,
  place: Place,
  drafts: Draft[],
  includes: Include[],
  problems: Problem[],
): void {
  const set = /^@set\s+([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$/i.exec(body);
  if (set?.[1] !== undefined && set[2] !== undefined) {
    const env = draft("env", place);
    env.entries.push({ ...place, key: set[1], value: set[2].trim() });
    drafts.push(env);
    return;
  }
  const path = /^@include\s+(\S.*)$/i.exec(body)?.[1];
  if (path !== undefined) {
    includes.push({ ...place, path, before: drafts.length });
    return;
  }
  const word = body.split(/\s/, 1)[0] ?? body;
  problems.push(problemAt(place, `${word} is not supported. Supported: @SET NAME=VALUE, @INCLUDE FILE`));
}
