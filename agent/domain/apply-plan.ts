/** The two kinds of bundle, in the order in which they are applied: no record is shipped past rules that are to come. */
export const kinds = ["rules", "shipper"] as const;
export type Kind = (typeof kinds)[number];

/** Something that was signed for: a bundle, or a release of a layer. */
export interface Part {
  readonly path: string;
  readonly length: number;
  /** Hex. */
  readonly sha256: string;
}

/** A bundle that the assignment names. */
export interface Target extends Part {
  readonly kind: Kind;
}

/** What the agent can try beside what it runs: a rules bundle, or a release of a layer on the rules that run. */
export type Candidate = Target | (Part & { readonly kind: "layer" });

/** A verified assignment. */
export interface Assignment {
  readonly generation: number;
  readonly targets: readonly Target[];
  /** Releases of layers that teams own; absent when there are none. */
  readonly layers?: readonly Part[];
}

/** A bundle that was refused for good: nothing changes until the assignment or the metadata does. */
export interface Rejection {
  readonly generation: number;
  readonly sha256: string;
  /** The metadata by which it was refused: see {@link metadataKeys}; {@link whateverMetadata} when it failed while it ran. */
  readonly metadata: string;
  /** The version of the agent that failed with it: another start of the same version does not try it again. */
  readonly agentVersion?: string;
}

/** A bundle that ran and failed fails with any metadata: only a newer assignment brings it back. */
export const whateverMetadata = "any";

/** The versions of metadata that an agent holds. */
export interface MetadataVersions {
  readonly root: number;
  readonly targets: number;
  readonly snapshot: number;
  readonly timestamp: number;
}

/**
 * Names metadata for a rejection. A bundle that does not load is worth another try with other targets; one that trust
 * refused, with any other metadata: a fresh timestamp heals an expired one and lists the same targets.
 */
export function metadataKeys(held: MetadataVersions): { readonly targets: string; readonly all: string } {
  const { root, targets, snapshot, timestamp } = held;
  return {
    targets: `targets ${targets}`,
    all: `root ${root} targets ${targets} snapshot ${snapshot} timestamp ${timestamp}`,
  };
}

/** What there is to know when deciding what to do next. */
export interface ApplyState {
  readonly assignment: Assignment | undefined;
  readonly running: { readonly [K in Kind]?: string };
  readonly rejections: { readonly [K in Kind]?: Rejection };
  readonly metadata: MetadataVersions;
}

/** The bundle to apply next, or nothing. */
export interface ApplyPlan {
  readonly apply: Target | undefined;
  readonly because: string;
  /** True when a bundle is assigned that cannot run before another one does. */
  readonly isWaiting: boolean;
}

/**
 * Decides which bundle to apply next: rules before the shipper, one at a time. A kind that the assignment does not name
 * is left as it runs: there is no order that ends detection.
 */
export function planApply(state: ApplyState): ApplyPlan {
  if (state.assignment === undefined) {
    return { apply: undefined, because: "no assignment yet", isWaiting: false };
  }
  const keys = metadataKeys(state.metadata);
  for (const kind of kinds) {
    const target = state.assignment.targets.find((t) => t.kind === kind);
    if (target === undefined || state.running[kind] === target.sha256) continue;
    if (kind === "shipper" && state.running.rules === undefined) {
      return {
        apply: undefined,
        because: "the shipper waits until rules run, so that no record passes undetected",
        isWaiting: true,
      };
    }
    const rejection = state.rejections[kind];
    const known =
      rejection !== undefined &&
      rejection.generation === state.assignment.generation &&
      rejection.sha256 === target.sha256 &&
      [keys.targets, keys.all, whateverMetadata].includes(rejection.metadata);
    if (known) continue;
    const because = `assigned at generation ${state.assignment.generation}`;
    return { apply: target, because, isWaiting: false };
  }
  return { apply: undefined, because: "everything that can run runs", isWaiting: false };
}
