import { commandLineMax } from "../linux-audit/call.ts";
import type { ProcessInfo, SyscallEvent } from "../linux-audit/syscall-event.ts";
import { utf8Length } from "../utf8.ts";
import type { FieldDefinition, FieldType, FieldValue } from "./field.ts";
import { callField, ofCall } from "./syscall.ts";

type ReadProcess = (process: ProcessInfo) => FieldValue;

const argsOf: ReadProcess = ({ args }) => args?.join(" ").slice(0, commandLineMax);

function lineOf(first: string | undefined, args: readonly string[] | undefined): string | undefined {
  if (first === undefined || args === undefined) return undefined;
  return [first, ...args].join(" ").slice(0, commandLineMax);
}

const commandLine: ReadProcess = ({ name, args }) => lineOf(name, args);

function own(name: string, type: FieldType, doc: string, read: ReadProcess): FieldDefinition {
  return callField(name, type, doc, ({ process }) => read(process));
}

function parent(name: string, type: FieldType, doc: string, read: ReadProcess): FieldDefinition {
  return callField(name, type, doc, ({ ancestors: [first] }) =>
    first === undefined ? undefined : read(first),
  );
}

/**
 * A field of one ancestor by its distance. Without a number it stands for all of them: a comparison holds when it holds
 * for any, which is how Falco reads it.
 */
function ancestor(name: string, type: FieldType, what: string, read: ReadProcess): FieldDefinition {
  return {
    name,
    type,
    isList: false,
    argument: "index-optional",
    doc: `${what} of an ancestor: 0 is the process, 1 its parent; without a number any ancestor that is known`,
    isAny: true,
    bind: (argument) => {
      if (argument === undefined) {
        return ofCall((event) => event.ancestors.flatMap((one) => (read(one) ?? []) as string | bigint));
      }
      const level = Number(argument);
      return ofCall((event) => {
        const one = level === 0 ? event.process : event.ancestors[level - 1];
        return one === undefined ? undefined : read(one);
      });
    },
  };
}

function durationOf({ process, timeNs }: SyscallEvent): bigint | undefined {
  return process.startNs === undefined ? undefined : timeNs - process.startNs;
}

/** Fields of the process that made the call. Parents and command lines are known as far as records told of them. */
export const processFields: readonly FieldDefinition[] = [
  own("proc.name", "CHARBUF", "Name of the process, at most 15 characters", ({ name }) => name),
  own("proc.exe", "CHARBUF", "First word of the command line", ({ exe }) => exe),
  own("proc.exepath", "CHARBUF", "Full path of the program", ({ exePath }) => exePath),
  own(
    "proc.is_exe_from_memfd",
    "BOOL",
    "Whether the program was run from memory and not from a file",
    ({ exePath }) => exePath?.startsWith("/memfd:"),
  ),
  own("proc.args", "CHARBUF", "Words of the command line after the first, joined by blanks", argsOf),
  own("proc.cmdline", "CHARBUF", "Name of the process and its arguments", commandLine),
  own("proc.exeline", "CHARBUF", "First word of the command line and its arguments", ({ exe, args }) =>
    lineOf(exe, args),
  ),
  own("proc.cmdnargs", "UINT64", "Number of arguments after the first word", ({ args }) =>
    args === undefined ? undefined : BigInt(args.length),
  ),
  own(
    "proc.cmdlenargs",
    "UINT64",
    "Length of all arguments after the first word, without blanks",
    ({ args }) =>
      args === undefined ? undefined : BigInt(args.reduce((sum, word) => sum + utf8Length(word), 0)),
  ),
  own("proc.pid", "INT64", "Number of the process", ({ pid }) => pid),
  own("proc.ppid", "INT64", "Number of the parent process", ({ ppid }) => ppid),
  parent("proc.pname", "CHARBUF", "Name of the parent process", ({ name }) => name),
  parent("proc.pexe", "CHARBUF", "First word of the parent's command line", ({ exe }) => exe),
  parent("proc.pexepath", "CHARBUF", "Full path of the parent's program", ({ exePath }) => exePath),
  parent("proc.pcmdline", "CHARBUF", "Name of the parent process and its arguments", commandLine),
  ancestor("proc.aname", "CHARBUF", "Name", ({ name }) => name),
  ancestor("proc.aexe", "CHARBUF", "First word of the command line", ({ exe }) => exe),
  ancestor("proc.aexepath", "CHARBUF", "Full path of the program", ({ exePath }) => exePath),
  ancestor("proc.acmdline", "CHARBUF", "Name and arguments", commandLine),
  ancestor("proc.apid", "INT64", "Number", ({ pid }) => pid),
  callField("proc.cwd", "CHARBUF", "Working directory, with a slash at its end", ({ cwd }) =>
    cwd === undefined || cwd.endsWith("/") ? cwd : `${cwd}/`,
  ),
  callField("proc.tty", "UINT32", "Number of the terminal's device; 0 without a terminal", ({ tty }) => tty),
  callField(
    "proc.duration",
    "RELTIME",
    "Nanoseconds since the program began, where its beginning was recorded",
    durationOf,
  ),
  own(
    "proc.pid.ts",
    "RELTIME",
    "Time at which the program began, where that was recorded",
    ({ startNs }) => startNs,
  ),
  parent(
    "proc.ppid.ts",
    "RELTIME",
    "Time at which the parent's program began, where that was recorded",
    ({ startNs }) => startNs,
  ),
];
