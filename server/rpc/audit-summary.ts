import { createHash } from "node:crypto";

import type { DescMessage, Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";

/** Fields that may hold a secret, by name: what they hold is never looked at. */
const secretFields = /secret|token$|password|private|credential|csr/i;
/** What a request is done to, in the order in which a field is taken. */
const targetFields = ["rolloutId", "backtestId", "cluster", "id", "name"] as const;
const itemsShown = 8;
const depthMax = 4;

/** What was asked for, one text per field that is set: short, without secrets and without contents. */
export function summarize(schema: DescMessage, request: Message): Readonly<Record<string, string>> {
  const message = reflect(schema, request, false);
  return Object.fromEntries(
    message.fields
      .filter((field) => message.isSet(field))
      .map((field) => [
        field.name,
        secretFields.test(field.name) ? "[not recorded]" : text(plain(message.get(field), 0)),
      ]),
  );
}

export function targetOf(request: Message): string {
  const fields = request as unknown as Readonly<Record<string, unknown>>;
  const found = targetFields
    .map((name) => fields[name])
    .find((value) => typeof value === "string" && value !== "");
  return typeof found === "string" ? found : "";
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Something that JSON can hold, of bounded size. */
function plain(value: unknown, depth: number): unknown {
  if (value instanceof Uint8Array) {
    const hash = createHash("sha256").update(value).digest("hex");
    return `${value.length} bytes, sha256:${hash}`;
  }
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= depthMax) return "…";
  if (isIterable(value)) return plainList(value, depth);
  return plainMessage(value as ReflectMessage, depth);
}

/** Lists give items, maps give pairs. */
function plainList(values: Iterable<unknown>, depth: number): unknown {
  const shown: unknown[] = [];
  let more = 0;
  for (const value of values) {
    if (shown.length < itemsShown) {
      shown.push(
        Array.isArray(value) ? value.map((each) => plain(each, depth + 1)) : plain(value, depth + 1),
      );
    } else more += 1;
  }
  return more === 0 ? shown : [...shown, `and ${more} more`];
}

function plainMessage(message: ReflectMessage, depth: number): unknown {
  if (typeof message.isSet !== "function") return "…";
  return Object.fromEntries(
    message.fields
      .filter((field) => message.isSet(field))
      .map((field) => [
        field.name,
        secretFields.test(field.name) ? "[not recorded]" : plain(message.get(field), depth + 1),
      ]),
  );
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value;
}
