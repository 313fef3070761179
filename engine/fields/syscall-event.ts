import { eventSpec } from "../linux-audit/event-specs.ts";
import { errorName } from "../linux-audit/errors.ts";
import type { SyscallEvent } from "../linux-audit/syscall-event.ts";
import type { FieldDefinition } from "./field.ts";
import { callField, ofCall } from "./syscall.ts";

const digits = /^(?:0|[1-9][0-9]{0,2})$/;

function argumentOf(event: SyscallEvent, key: string) {
  return digits.test(key) ? event.args[Number(key)] : event.args.find(({ name }) => name === key);
}

/** Whether events of a type can have an argument. */
function carriesArgument(type: string, key: string | undefined): boolean {
  const { args } = eventSpec(type);
  return digits.test(key ?? "") ? Number(key) < args.length : args.some(({ name }) => name === key);
}

const argument: FieldDefinition = {
  name: "evt.arg",
  type: "CHARBUF",
  isList: false,
  argument: "word-required",
  doc: "One argument by name or number, names in place of numbers, such as evt.arg.flags",
  carriedBy: carriesArgument,
  bind: (key) => ofCall((event) => argumentOf(event, key ?? "")?.text),
};

const opened = (read: (open: NonNullable<SyscallEvent["open"]>) => boolean) => (event: SyscallEvent) =>
  event.open === undefined ? false : read(event.open);

function openField(
  name: string,
  doc: string,
  read: (open: NonNullable<SyscallEvent["open"]>) => boolean,
): FieldDefinition {
  return callField(name, "BOOL", doc, opened(read));
}

function resultOf({ isFailed, result }: SyscallEvent): string | undefined {
  if (!isFailed) return "SUCCESS";
  return result === undefined || result >= 0n ? undefined : errorName(Number(-result));
}

/** Fields of every system call. */
export const syscallEventFields: readonly FieldDefinition[] = [
  callField("evt.type", "CHARBUF", "Name of the system call, such as execve", ({ type }) => type),
  callField("syscall.type", "CHARBUF", "The same as evt.type", ({ type }) => type),
  callField("evt.dir", "CHARBUF", "Always <: records are written when a call returns", () => "<"),
  callField("evt.res", "CHARBUF", "SUCCESS, or the name of the error such as ENOENT", resultOf),
  callField(
    "evt.rawres",
    "INT64",
    "What the call returned; a negative number is an error",
    (event) => event.result,
  ),
  callField("evt.failed", "BOOL", "Whether the call returned an error", ({ isFailed }) => isFailed),
  callField("evt.count", "UINT32", "Always 1, for counting", () => 1n),
  callField("evt.count.error", "UINT32", "Number of failed calls: 1 or 0", ({ isFailed }) =>
    isFailed ? 1n : 0n,
  ),
  callField("evt.args", "CHARBUF", "All arguments in one text", argumentsText),
  callField("evt.info", "CHARBUF", "The same as evt.args", argumentsText),
  argument,
  openField("evt.is_open_read", "Whether a file was opened for reading", ({ isRead }) => isRead),
  openField("evt.is_open_write", "Whether a file was opened for writing", ({ isWrite }) => isWrite),
  openField("evt.is_open_create", "Whether opening made the file", ({ isCreate }) => isCreate),
  openField("evt.is_open_exec", "Whether opening made a file that can be executed", ({ isExec }) => isExec),
];

function argumentsText({ args }: SyscallEvent): string {
  return args.map(({ name, text, raw }) => `${name}=${raw === text ? text : `${raw}(${text})`}`).join(" ");
}
