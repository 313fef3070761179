/** Facts that the agent knows about its cluster, by variable name: REGION, TEAM, ENVIRONMENT, CLUSTER, ... */
export type Variables = Readonly<Record<string, string>>;

/** A value with its variables filled in. */
export interface Expanded {
  readonly text: string;
  /** The agent's variables that went into it; those of the config's own `env` are not facts. */
  readonly facts: readonly string[];
  /** Variables that nobody set. */
  readonly unset: readonly string[];
  /** Whether the text was too long to be put together, and is empty. */
  readonly isTooLong: boolean;
}

/** Variables can be made of variables: this keeps a few lines from growing into gigabytes. */
const expandedLengthMax = 16_384;

export const tooLong: string = `The value is longer than ${expandedLengthMax} characters`;

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
  let room = expandedLengthMax - value.length;
  const text = value.replaceAll(reference, (whole: string, name: string) => {
    const isFact = Object.hasOwn(scope.facts, name);
    const found = isFact ? scope.facts[name] : scope.env.get(name);
    if (isFact) facts.push(name);
    else if (found === undefined) unset.push(name);
    room -= (found ?? "").length;
    return room < 0 ? "" : (found ?? whole);
  });
  return { text: room < 0 ? "" : text, facts, unset, isTooLong: room < 0 };
}
