import type { Plan, Rollout, Wave } from "#proto/fleet/v1/rollout";
import { bundleText } from "../view/fleet.ts";
import { gatesText, listed, planNotes, reachText } from "../view/plan.ts";
import { digestText, nounText } from "../view/quantity.ts";
import { DiffEffect } from "./bundle-effect.tsx";
import { Sign } from "./icons.tsx";
import { Panel } from "./panel.tsx";
import { Answered, type Answer } from "./states.tsx";

/** What a rollout that has not begun would do, for whoever has to say whether it may. */
export function PlanPanel({
  rollout,
  answer,
}: {
  readonly rollout: Rollout;
  readonly answer: Answer<{ readonly plan?: Plan | undefined }>;
}) {
  const digest = answer.data?.plan?.digest ?? "";
  return (
    <Panel
      title="What it would do"
      aside={digest === "" ? undefined : <code title={digest}>plan {digestText(digest)}</code>}
    >
      {rollout.partial ? (
        <p className="muted">The plan is shown to those who may see all of its clusters.</p>
      ) : (
        <Answered answer={answer} lines={8}>
          {({ plan }) => (plan === undefined ? undefined : <Planned plan={plan} rollout={rollout} />)}
        </Answered>
      )}
    </Panel>
  );
}

function Planned({ plan, rollout }: { readonly plan: Plan; readonly rollout: Rollout }) {
  return (
    <>
      {planNotes(plan, rollout).map(({ tone, text }) => (
        <div key={text} className={`reason tone-${tone}`}>
          <Sign tone={tone} />
          <span>{text}</span>
        </div>
      ))}
      <p>{reachText(plan)}</p>
      <p className="muted">{gatesText(plan)}</p>
      <ol className="plan-waves" aria-label="Waves of the plan">
        {plan.waves.map((wave, i) => (
          <li key={`${i} ${wave.name}`}>
            <strong>
              {i + 1}. {wave.name}
            </strong>{" "}
            <span className="faint">{nounText(wave.clusters.length, "cluster")}</span> {membersOf(wave)}
          </li>
        ))}
      </ol>
      <Layers plan={plan} />
      {plan.diffs.map((diff) => (
        <DiffEffect key={`${diff.from?.digest} ${diff.layers.join(" ")}`} diff={diff} />
      ))}
    </>
  );
}

function membersOf({ clusters }: Wave): string {
  return listed(
    clusters.map(({ clusterName, previous }) => `${clusterName} (${bundleText(previous) || "nothing"})`),
  );
}

/** Where which layers apply: a choice of layers is a bundle of its own to the clusters that have it. */
function Layers({ plan: { layerEffects } }: { readonly plan: Plan }) {
  return layerEffects.map(({ layers, clusterNames }) => (
    <p key={layers.join(" ")} className="effect-list">
      <strong>{layers.length === 0 ? "The base alone" : layers.join(", ")}</strong> on {listed(clusterNames)}
    </p>
  ));
}
