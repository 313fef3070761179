import { kinds, type JsonTape } from "./tape.ts";

/**
 * The text that a rule sees for a value: strings as they are, everything else as compact JSON with numbers
 * and escapes spelled as in the record. Texts end at a NUL, as they do in Falco.
 */
export function valueText(tape: JsonTape, node: number): string {
  const kind = tape.kind(node);
  if (kind === kinds.string) return tape.text.slice(tape.start(node), tape.end(node));
  if (kind === kinds.escaped) return untilNul(tape.string(node));
  return compact(tape, node);
}

function untilNul(text: string): string {
  const nul = text.indexOf("\0");
  return nul < 0 ? text : text.slice(0, nul);
}

/** A value as JSON without blanks between its tokens. */
export function compact(tape: JsonTape, node: number): string {
  return write(tape, node, "", "", ":");
}

/** A value as JSON with one member per line, indented by two blanks. */
export function indented(tape: JsonTape, node: number): string {
  return write(tape, node, "\n", "  ", ": ");
}

function write(tape: JsonTape, node: number, line: string, step: string, colon: string): string {
  const kind = tape.kind(node);
  const inside = tape.text.slice(tape.start(node), tape.end(node));
  if (kind === kinds.string || kind === kinds.escaped) return `"${inside}"`;
  if (kind !== kinds.array && kind !== kinds.object) return inside;
  const items: string[] = [];
  const after = tape.next(node);
  const deeper = line === "" ? "" : line + step;
  for (let item = tape.first(node); item < after; item = tape.next(item)) {
    let text = write(tape, item, deeper, step, colon);
    if (kind === kinds.object) {
      item = tape.next(item);
      text += colon + write(tape, item, deeper, step, colon);
    }
    items.push(text);
  }
  const [open, close] = kind === kinds.array ? ["[", "]"] : ["{", "}"];
  if (items.length === 0) return open + close;
  return open + deeper + items.join(`,${deeper}`) + line + close;
}
