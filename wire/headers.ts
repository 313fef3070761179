/** A name as HTTP has it: RFC 9110's token. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What no value may hold: it would begin another line, or is no byte. */
const unfit = /[\0\r\n]|[^\0-\xff]/;
const around = /^[\t\r\n ]+|[\t\r\n ]+$/g;

/**
 * The headers of a call, as the Fetch standard has them: names in lower case, values of one name joined by a comma but for cookies, in the order of names.
 * Throws a TypeError for what is no name or no value.
 *
 * A built program gives them to Connect instead of Node's own, with which Node loads all of its fetch: a sixth of what a short command takes.
 */
export class Headers {
  readonly #values = new Map<string, string[]>();

  constructor(init?: Iterable<readonly [string, string]> | Readonly<Record<string, string>>) {
    if (init === undefined) return;
    const pairs = Symbol.iterator in init ? init : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }

  append(name: string, value: string | number): void {
    const key = nameOf(name);
    const more = valueOf(value);
    const known = this.#values.get(key);
    if (known === undefined) this.#values.set(key, [more]);
    else known.push(more);
  }

  set(name: string, value: string | number): void {
    this.#values.set(nameOf(name), [valueOf(value)]);
  }

  get(name: string): string | null {
    return this.#values.get(nameOf(name))?.join(", ") ?? null;
  }

  getSetCookie(): string[] {
    return [...(this.#values.get("set-cookie") ?? [])];
  }

  has(name: string): boolean {
    return this.#values.has(nameOf(name));
  }

  delete(name: string): void {
    this.#values.delete(nameOf(name));
  }

  forEach(see: (value: string, name: string, headers: Headers) => void, self?: unknown): void {
    for (const [name, value] of this) see.call(self, value, name, this);
  }

  *entries(): Generator<[string, string]> {
    for (const name of [...this.#values.keys()].sort()) {
      const values = this.#values.get(name) ?? [];
      if (name === "set-cookie") for (const each of values) yield [name, each];
      else yield [name, values.join(", ")];
    }
  }

  *keys(): Generator<string> {
    for (const [name] of this.entries()) yield name;
  }

  *values(): Generator<string> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries();
  }
}

function nameOf(name: string): string {
  if (!token.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a header`);
  return name.toLowerCase();
}

function valueOf(value: string | number): string {
  const trimmed = String(value).replaceAll(around, "");
  if (unfit.test(trimmed)) throw new TypeError(`${JSON.stringify(trimmed)} is no value of a header`);
  return trimmed;
}
