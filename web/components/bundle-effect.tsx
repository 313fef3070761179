import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import type { Bundle } from "#proto/fleet/v1/bundle";
import { RolloutService, type BundleDiff, type CoverageLoss } from "#proto/fleet/v1/rollout";
import { bundleText } from "../view/fleet.ts";
import { nounText } from "../view/quantity.ts";
import { EffectLists } from "./effect-lists.tsx";
import { Panel } from "./panel.tsx";
import { Answered } from "./states.tsx";

/** What a rollout of it over everything would change, as the server plans it. Nothing is started. */
export function BundleEffect({ bundle }: { readonly bundle: Bundle }) {
  const [isAsked, setIsAsked] = useState(false);
  const { kind = 0, digest = "" } = bundle.ref ?? {};
  const answer = useQuery(
    RolloutService.method.planRollout,
    { spec: { kind, bundle: digest } },
    { enabled: isAsked, staleTime: 60_000, retry: false },
  );
  return (
    <Panel title="What it would change">
      {isAsked ? (
        <Answered answer={answer} lines={4}>
          {({ plan }) => (
            <>
              <p className="muted">
                {nounText(plan?.waves.flatMap(({ clusters }) => clusters).length ?? 0, "cluster")} would move,{" "}
                {nounText(plan?.unchanged.length ?? 0, "cluster runs", "clusters run")} it already.
              </p>
              {plan?.diffs.map((diff) => (
                <DiffEffect key={`${diff.from?.digest} ${diff.layers.join(" ")}`} diff={diff} />
              ))}
            </>
          )}
        </Answered>
      ) : (
        <>
          <p className="muted">
            Rules and coverage against what each cluster runs. The server computes a plan; nothing is started.
          </p>
          <p className="after">
            <button type="button" className="button" onClick={() => setIsAsked(true)}>
              Compare with the fleet
            </button>
          </p>
        </>
      )}
    </Panel>
  );
}

/** What changes where one bundle takes the place of another: rules, what they watch for, and what is lost. */
export function DiffEffect({ diff }: { readonly diff: BundleDiff }) {
  const { loss } = diff;
  const lists = [
    { tone: "ok", name: "Added", items: diff.added },
    { tone: "busy", name: "Changed", items: diff.changed },
    { tone: "warn", name: "Removed", items: diff.removed },
    { tone: "ok", name: "ATT&CK gained", items: diff.tagsGained },
    { tone: "bad", name: "ATT&CK lost", items: diff.tagsLost },
    { tone: "bad", name: "Layers of teams", items: diff.layerNotes },
    { tone: "bad", name: "Nothing else matches what these did", items: loss?.removed ?? [] },
    { tone: "bad", name: "Disabled", items: loss?.disabled ?? [] },
    { tone: "bad", name: "Protected rules", items: loss?.protected ?? [] },
    { tone: "bad", name: requestsName(loss), items: loss?.requests ?? [] },
  ] as const;
  return (
    <div className="effect">
      <h3>
        {bundleText(diff.from) || "nothing"} → {bundleText(diff.to)}, {nounText(diff.clusterCount, "cluster")}
      </h3>
      <p className="faint">
        {diff.rulesBefore} rules before, {diff.rulesAfter} after
        {diff.layers.length === 0 ? "" : `; with ${diff.layers.join(", ")}`}
      </p>
      <EffectLists lists={lists} />
    </div>
  );
}

/** Of those that are lost the server names some. */
function requestsName(loss: CoverageLoss | undefined): string {
  const { requestsLost = 0, requestsBefore = 0 } = loss ?? {};
  return `${requestsLost} of ${requestsBefore} kinds of requests that no rule asks for any more`;
}
