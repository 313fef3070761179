import type { Expression } from "./ast.ts";

/** A condition may have this many checks and nest this deep once its macros are written out. */
export const expandedChecksMax = 100_000;
const expandedDepthMax = 500;

export type MacroOutcome =
  | { readonly ok: true; readonly expression: Expression; readonly used: ReadonlySet<string> }
  | ({ readonly ok: false } & Problem);

interface Problem {
  readonly message: string;
  readonly at: number;
  /** The macro in whose text the place is; undefined for the text that was given. */
  readonly within: string | undefined;
}

/** Puts macros in place of their names. `visible` gives the tree of a macro that may be referred to. */
export function resolveMacros(
  expression: Expression,
  visible: (name: string) => Expression | undefined,
): MacroOutcome {
  const resolver = new Resolver(visible);
  const resolved = resolver.resolve(expression, [], 0);
  const problem = resolver.loop ?? resolver.unknown;
  if (problem !== undefined) return { ok: false, ...problem };
  return { ok: true, expression: resolved, used: resolver.used };
}

class Resolver {
  loop: Problem | undefined;
  unknown: Problem | undefined;
  readonly used: Set<string>;
  private readonly visible: (name: string) => Expression | undefined;
  private checks: number;

  constructor(visible: (name: string) => Expression | undefined) {
    this.visible = visible;
    this.used = new Set();
    this.checks = 0;
    this.loop = undefined;
    this.unknown = undefined;
  }

  resolve(expression: Expression, path: readonly string[], depth: number): Expression {
    if (this.loop !== undefined) return expression;
    if (depth > expandedDepthMax || this.checks > expandedChecksMax) {
      const message = "condition is too large once its macros are written out";
      this.loop = { message, at: expression.at, within: path.at(-1) };
      return expression;
    }
    switch (expression.kind) {
      case "check":
        this.checks++;
        return expression;
      case "not":
        return { ...expression, part: this.resolve(expression.part, path, depth + 1) };
      case "and":
      case "or":
        return { ...expression, parts: expression.parts.map((part) => this.resolve(part, path, depth + 1)) };
      case "identifier":
        return this.macro(expression, path, depth);
    }
  }

  private macro(
    reference: Expression & { kind: "identifier" },
    path: readonly string[],
    depth: number,
  ): Expression {
    const { name, at } = reference;
    if (path.includes(name)) {
      this.loop ??= { message: `reference loop in macro '${name}'`, at, within: path.at(-1) };
      return reference;
    }
    const body = this.visible(name);
    if (body === undefined) {
      this.unknown ??= { message: `Undefined macro '${name}' used in filter.`, at, within: path.at(-1) };
      return reference;
    }
    this.used.add(name);
    const resolved = this.resolve(body, [...path, name], depth + 1);
    return resolved.kind === "identifier"
      ? resolved
      : { ...resolved, macros: [name, ...(resolved.macros ?? [])] };
  }
}
