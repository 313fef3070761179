/** A JSON value whose objects keep what JSON.parse would hide: the order of keys, and that one is there twice. */
export type Strict =
  | { readonly kind: "object"; readonly members: readonly (readonly [key: string, value: Strict])[] }
  | { readonly kind: "array"; readonly elements: readonly Strict[] }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "other"; readonly value: number | boolean | null };

/** Parses strictly: what JSON.parse refuses throws, and so does a key that an object has twice. */
export function parseStrict(text: string): Strict {
  JSON.parse(text);
  let at = 0;
  const blanks = () => {
    while (/\s/.test(text[at] ?? "")) at++;
  };
  const token = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? "";
    at += found.length;
    return found;
  };
  const string = (): string => JSON.parse(token(/"(?:[^"\\]|\\.)*"/sy)) as string;
  const value = (): Strict => {
    blanks();
    const first = text[at];
    if (first === '"') return { kind: "string", text: string() };
    if (first === "[") return { kind: "array", elements: list("]", value) };
    if (first === "{") return { kind: "object", members: members() };
    return { kind: "other", value: JSON.parse(token(/[^\s,\]}]+/y)) as number | boolean | null };
  };
  const list = <T>(close: string, one: () => T): T[] => {
    const found: T[] = [];
    for (at++, blanks(); text[at] !== close; blanks()) {
      if (text[at] === ",") at++;
      blanks();
      found.push(one());
    }
    at++;
    return found;
  };
  const members = () => {
    const found = list("}", (): readonly [string, Strict] => {
      const key = string();
      blanks();
      at++;
      return [key, value()];
    });
    const keys = found.map(([key]) => key);
    const twice = keys.find((key, index) => keys.indexOf(key) !== index);
    if (twice !== undefined) throw new SyntaxError(`Duplicate field '${twice}'`);
    return found;
  };
  return value();
}

/** The value of a key of an object, or undefined. */
export function member(value: Strict | undefined, key: string): Strict | undefined {
  if (value?.kind !== "object") return undefined;
  return value.members.find(([name]) => name === key)?.[1];
}
