import type { Rollout } from "#proto/fleet/v1/rollout";
import { bundleText } from "../view/fleet.ts";
import { progressParts } from "../view/parts.ts";
import { rolloutWord } from "../view/words.ts";
import { Bar, State } from "./badge.tsx";
import { Link } from "./router.tsx";
import { Ago } from "./time.tsx";

/** A rollout in one line: what, how far, since when. */
export function RolloutLine({ rollout }: { readonly rollout: Rollout }) {
  const { id, bundle, state, waves, createdAt } = rollout;
  return (
    <li className="line">
      <State word={rolloutWord(state)} />
      <Link to={`/rollouts/${id}`} className="line-main">
        {bundleText(bundle)}
      </Link>
      <span className="line-rest narrow-rest">
        <Ago time={createdAt} />
      </span>
      <Bar parts={progressParts(waves)} label="Clusters" />
    </li>
  );
}
