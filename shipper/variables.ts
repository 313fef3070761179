/** Facts that the agent knows about its cluster, by variable name: REGION, TEAM, ENVIRONMENT, CLUSTER, ... */
export type Variables = Readonly<Record<string, string>>;

/** A value with its variables filled in. */
export interface Expanded {
  readonly text: string;
  /** The agent's variables that went into it; those of the config's own `env` are not facts. */
  readonly facts: readonly string[];
  /** Variables that nobody set. */
  readonly unset: readonly string[];
}

/** Agent facts and the config's own `env`. A fact wins: no config may tell a cluster where it is. */
export interface Scope {
  readonly facts: Variables;
  readonly env: ReadonlyMap<string, string>;
}

const reference = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/**
 * Fills in `${VAR}` once: what a variable contains is text and is never expanded or split again. Unlike in Fluent Bit an
 * unset variable is not the empty string but a mistake, because an empty `x_cluster` makes records that nobody can place.
 */
export function expand(value: string, scope: Scope): Expanded {
  const facts: string[] = [];
  const unset: string[] = [];
  const text = value.replaceAll(reference, (whole: string, name: string) => {
    if (Object.hasOwn(scope.facts, name)) {
      facts.push(name);
      return scope.facts[name] ?? "";
    }
    const own = scope.env.get(name);
    if (own === undefined) unset.push(name);
    return own ?? whole;
  });
  return { text, facts, unset };
}
