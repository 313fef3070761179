import type { ComponentProps } from "react";
import { Sign } from "./icons.tsx";

interface EffectList {
  readonly tone: ComponentProps<typeof Sign>["tone"];
  readonly name: string;
  readonly items: readonly string[];
}

/** What a change adds, changes and takes away, a line for each that is not empty. */
export function EffectLists({ lists }: { readonly lists: readonly EffectList[] }) {
  return lists
    .filter(({ items }) => items.length > 0)
    .map(({ tone, name, items }) => (
      <div key={name} className="with-sign effect-list">
        <Sign tone={tone} />
        <span>
          <strong>{name}:</strong> {items.join(", ")}
        </span>
      </div>
    ));
}
