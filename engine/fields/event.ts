import { compact } from "../json/text.ts";
import { formatTime, zonedTime } from "../time.ts";
import type { Extract, FieldDefinition, FieldType } from "./field.ts";

const second = 1_000_000_000n;
const padded: ReadonlySet<string> = new Set(["evt.rawtime.ns", "evt.reltime", "evt.reltime.ns"]);

function field(name: string, type: FieldType, doc: string, read: Extract): FieldDefinition {
  const plain = { name, type, isList: false, argument: "none", doc, bind: () => read } as const;
  // A rendered time is a number in an alert's JSON, so that it can be sorted and counted with.
  if (name.startsWith("evt.time") || name.startsWith("evt.datetime")) {
    return { ...plain, json: (event) => event.timeNs };
  }
  return padded.has(name) ? { ...plain, padTo: 9 } : plain;
}

/** Fields that every event has, whatever its source. Times are rendered in the zone the detector was given, UTC unless told. */
export const eventFields: readonly FieldDefinition[] = [
  field(
    "evt.num",
    "UINT64",
    "Number of the event, counted from 1 in order of arrival",
    (event) => event.number,
  ),
  field("evt.time", "CHARBUF", "Time of day of the event with nanoseconds", (event) => {
    const { clock, nanos } = zonedTime(event);
    return `${clock}.${nanos}`;
  }),
  field(
    "evt.time.s",
    "CHARBUF",
    "Time of day of the event without nanoseconds",
    (event) => zonedTime(event).clock,
  ),
  field("evt.time.iso8601", "CHARBUF", "Time of the event in ISO 8601 with nanoseconds, in UTC", (event) => {
    return `${formatTime(event.timeNs).slice(0, -1)}+0000`;
  }),
  field("evt.datetime", "CHARBUF", "Date and time of the event with nanoseconds", (event) => {
    const { date, clock, nanos } = zonedTime(event);
    return `${date} ${clock}.${nanos}`;
  }),
  field("evt.datetime.s", "CHARBUF", "Date and time of the event without nanoseconds", (event) => {
    const { date, clock } = zonedTime(event);
    return `${date} ${clock}`;
  }),
  field("evt.rawtime", "ABSTIME", "Nanoseconds since 1970", (event) => event.timeNs),
  field("evt.rawtime.s", "ABSTIME", "Seconds since 1970", (event) => event.timeNs / second),
  field(
    "evt.rawtime.ns",
    "ABSTIME",
    "Nanoseconds within the second of the event",
    (event) => event.timeNs % second,
  ),
  field("evt.reltime", "RELTIME", "Nanoseconds since the first event", (event) => relative(event)),
  field("evt.reltime.s", "RELTIME", "Seconds since the first event", (event) => relative(event) / second),
  field(
    "evt.reltime.ns",
    "RELTIME",
    "Nanoseconds within the second since the first event",
    (event) => relative(event) % second,
  ),
  field("evt.pluginname", "CHARBUF", "Name of the plugin the event came through", ({ syscall }) =>
    syscall === undefined ? "k8saudit" : undefined,
  ),
  field("evt.plugininfo", "CHARBUF", "The whole event as JSON", (event) =>
    event.syscall === undefined ? compact(event.tape, event.root) : undefined,
  ),
  field("evt.source", "CHARBUF", "Source of the event, such as k8s_audit", (event) => event.source),
  field("evt.is_async", "BOOL", "Whether the event is asynchronous; audit events never are", () => false),
  field("evt.asynctype", "CHARBUF", "Type of an asynchronous event; missing otherwise", () => undefined),
  field("evt.hostname", "CHARBUF", "Name of the host that evaluates the event", (event) => event.hostname),
];

/** Time since the first event; an event from before it counts as 0. */
function relative(event: { readonly timeNs: bigint; readonly firstTimeNs: bigint }): bigint {
  return event.timeNs > event.firstTimeNs ? event.timeNs - event.firstTimeNs : 0n;
}
