/** What of a report can be replaced by names that mean nothing. */
export const redactable = ["user", "address", "cluster", "namespace", "object", "command"] as const;
export type Redactable = (typeof redactable)[number];

/** The same by report: what it has of them. */
export const redactableIn: Readonly<
  Record<"exec" | "secrets" | "privileges" | "rollouts" | "coverage", readonly Redactable[]>
> = {
  exec: redactable,
  secrets: redactable,
  privileges: redactable,
  rollouts: ["user"],
  coverage: ["cluster"],
};
