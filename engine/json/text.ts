import { kinds, type JsonDocument } from "./document.ts";

/**
 * The text that a rule sees for a value: strings as they are, everything else as compact JSON with numbers
 * and escapes spelled as in the record. Texts end at a NUL, as they do in Falco.
 */
export function valueText(tape: JsonDocument, node: number): string {
  const kind = tape.kind(node);
  if (kind === kinds.string) return tape.raw(node);
  return kind === kinds.escaped ? untilNul(tape.string(node)) : compact(tape, node);
}

/** The same with what stands behind a NUL: for texts that are put together or taken apart before a rule sees them. */
export function wholeText(tape: JsonDocument, node: number): string {
  return tape.kind(node) === kinds.escaped ? tape.string(node) : valueText(tape, node);
}

/** What a rule sees of a text. */
export function untilNul(text: string): string {
  const nul = text.indexOf("\0");
  return nul < 0 ? text : text.slice(0, nul);
}

/** A value as JSON without blanks between its tokens. */
export function compact(tape: JsonDocument, node: number): string {
  const kind = tape.kind(node);
  const isGroup = kind === kinds.array || kind === kinds.object;
  // API servers write no blanks, so there is hardly ever anything to leave out.
  return isGroup && tape.isCompact(node) ? tape.raw(node) : write(tape, node, "", "", ":");
}

/** A value as JSON with one member per line, indented by two blanks. */
export function indented(tape: JsonDocument, node: number): string {
  return write(tape, node, "\n", "  ", ": ");
}

function write(tape: JsonDocument, node: number, line: string, step: string, colon: string): string {
  const kind = tape.kind(node);
  if (kind === kinds.string || kind === kinds.escaped) return `"${tape.raw(node)}"`;
  if (kind !== kinds.array && kind !== kinds.object) return tape.raw(node);
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
