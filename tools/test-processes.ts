import { relative, sep } from "node:path";
import { isLong, root } from "./test-files.ts";

/** Test files that run in one process, one after another. */
export interface Group {
  /** `server-2`: the room of its files, or `others` for small ones, and which of its groups. */
  readonly name: string;
  /** Absolute paths. */
  readonly files: readonly string[];
}

/** What runs in a process each, and what runs together. Absolute paths, in the order in which they begin. */
export interface Processes {
  readonly first: readonly string[];
  readonly groups: readonly Group[];
  readonly last: readonly string[];
}

/** To start a process and load a server or an agent into it costs more than most files do then; too many in one process, and it is the last that runs. */
const filesMax = 16;
/** Rooms with fewer share a group. */
const filesMin = 6;

/**
 * What a test file does that others in its process would notice, or that others would disturb. Everything else runs together. That tests put
 * back what they change for a moment, such as environment and folder, `test-together.ts` holds them to.
 */
const alone: readonly (readonly [why: string, pattern: RegExp])[] = [
  ["its hooks would be those of all files", /^(?:before|after|beforeEach|afterEach)\(/m],
  ["it waits for a test while it is loaded", /^(?:\w.* = )?await (?:test|it|suite|describe)\(/m],
  ["it starts processes or threads, which are what it costs", /"node:(?:child_process|worker_threads)"/],
  ["it changes its process for good, or ends it", /\bprocess\.(?:chdir|exit|exitCode|on|once|emit|kill)\b/],
  [
    "it measures its process",
    /\bprocess\.(?:memoryUsage|cpuUsage|resourceUsage|getActiveResourcesInfo)\b|"node:v8"/,
  ],
  ["it holds the clock of its process", /\.mock\.timers\b/],
  [
    "it replaces functions of Node",
    /\bsyncBuiltinESMExports\b|\b(?:globalThis\.\w+|Date\.now|process\.stdout\.write) = |\.mock\.method\((?:globalThis|Date|process)\b/,
  ],
];

/** Why a file has a process of its own; undefined when it shares one. */
export function whyAlone(path: string, text: string): string | undefined {
  if (isLong(path)) return "it is one of the longest, which begin first";
  return alone.find(([, pattern]) => pattern.test(text))?.[0];
}

/**
 * Divides test files, which come in the order in which they shall begin, over processes. Those that are asked for by name, and not with a
 * folder, have one each.
 */
export function planProcesses(
  files: readonly string[],
  readText: (path: string) => string,
  named: readonly string[] = [],
): Processes {
  const { alone: single = [], together = [] } = Object.groupBy(files, (path) =>
    named.includes(path) || whyAlone(path, readText(path)) !== undefined ? "alone" : "together",
  );
  const rooms = Map.groupBy(together, roomOf);
  const small = [...rooms].filter(([, paths]) => paths.length < filesMin).map(([room]) => room);
  const dealt = Map.groupBy(together, (path) => (small.includes(roomOf(path)) ? "others" : roomOf(path)));
  const groups = [...dealt].flatMap(([name, paths]) => deal(name, paths));
  const lone = groups.filter((group) => group.files.length === 1).flatMap((group) => group.files);
  return {
    first: single.filter(isLong),
    groups: groups.filter((group) => group.files.length > 1),
    last: [...single.filter((path) => !isLong(path)), ...lone],
  };
}

function roomOf(path: string): string {
  return relative(root, path).split(sep)[0] ?? "";
}

/** Like cards, so that files of one folder, which take about as long as each other, come into different groups. */
function deal(room: string, files: readonly string[]): readonly Group[] {
  const count = Math.ceil(files.length / filesMax);
  return Array.from({ length: count }, (_, i) => ({
    name: `${room}-${i + 1}`,
    files: files.filter((_, at) => at % count === i),
  }));
}
