import { labelName, type Labels } from "./labels.ts";

/** Labels that one line may bring; what lies deeper or comes later brings none. */
const extractedMax = 256;
const depthMax = 16;

/**
 * What `| json` makes of a line: keys on the way are joined with `_`, arrays are left out, and a key that the stream has already gets
 * `_extracted` behind it; one that an earlier `| json` brought gets its value again. A line that is no JSON object gets the labels of an
 * error. `stream` are the labels that the stream has of itself.
 */
export function jsonLabels(line: string, labels: Labels, stream: Labels = labels): Labels {
  let value: unknown;
  try {
    value = JSON.parse(line, asWritten as (key: string, value: unknown) => unknown);
  } catch {
    value = undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { ...labels, __error__: "JSONParserErr", __error_details__: "the line is no JSON object" };
  }
  const found: [string, string][] = [];
  const taken = stream === labels ? labels : both(labels, stream);
  flatten(value, "", taken, found, 0);
  return { ...labels, ...Object.fromEntries(found) };
}

/** What was dropped since may come again. */
function both(labels: Labels, stream: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => Object.hasOwn(stream, name)));
}

/** A number of 19 digits, such as the time of an event, loses its last ones when it becomes a number here. */
class Written {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

function asWritten(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  return typeof value === "number" ? new Written(context.source ?? String(value)) : value;
}

function flatten(
  value: object,
  prefix: string,
  labels: Labels,
  found: [string, string][],
  depth: number,
): void {
  for (const [key, inner] of Object.entries(value) as [string, unknown][]) {
    if (found.length >= extractedMax) return;
    const name = labelName(prefix === "" ? key : `${prefix}_${key}`);
    if (inner instanceof Written) add(name, inner.text, labels, found);
    else if (typeof inner === "string") add(name, inner, labels, found);
    else if (typeof inner === "boolean") add(name, String(inner), labels, found);
    else if (typeof inner === "object" && inner !== null && !Array.isArray(inner) && depth < depthMax) {
      flatten(inner, name, labels, found, depth + 1);
    }
  }
}

function add(name: string, value: string, labels: Labels, found: [string, string][]): void {
  if (value === "" || name === "") return;
  found.push([Object.hasOwn(labels, name) ? `${name}_extracted` : name, value]);
}
