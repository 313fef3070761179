import { useQuery } from "@connectrpc/connect-query";
import type { ReactNode } from "react";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { BundleKind } from "#proto/fleet/v1/common";
import type { Shadow, ShadowRuleSum } from "#proto/fleet/v1/shadow";
import { bundleText } from "../view/fleet.ts";
import { countText } from "../view/quantity.ts";
import { Facts, Panel } from "./panel.tsx";
import { Link } from "./router.tsx";
import { ShortRows, type Column } from "./rows.tsx";
import { Answered, Empty } from "./states.tsx";
import { Ago } from "./time.tsx";

/** What the bundle would change, as its agents evaluated it beside what they run. */
export function ShadowPanel({
  rolloutId,
  aside,
}: {
  readonly rolloutId: string;
  readonly aside?: ReactNode;
}) {
  const answer = useQuery(RolloutService.method.getShadow, { rolloutId }, { refetchInterval: 5_000 });
  return (
    <Panel title="Shadow" isFlush aside={aside}>
      <Answered answer={answer} lines={4}>
        {({ shadow, rules, problems }) => (
          <>
            {shadow === undefined ? undefined : <Sums shadow={shadow} />}
            {rules.length === 0 ? (
              <Empty>No rule differs so far.</Empty>
            ) : (
              <ShortRows
                label="Rules that differ"
                rows={rules}
                columns={columns}
                keyOf={({ rule }) => rule}
              />
            )}
            {problems.map(({ clusterName, agentName, reason, detail }) => (
              <p key={`${clusterName} ${agentName}`} className="calm">
                <Link to={`/clusters/${clusterName}`}>{clusterName}</Link> {agentName}:{" "}
                <code className="code">{reason}</code> {detail}
              </p>
            ))}
          </>
        )}
      </Answered>
    </Panel>
  );
}

/** Rollouts among which the newest one with a shadow is looked for. */
const rolloutsLookedAt = 50;

/** The newest shadow of rules that there is, whatever became of its rollout. */
export function NewestShadow() {
  const { data } = useQuery(
    RolloutService.method.listRollouts,
    { pageSize: rolloutsLookedAt },
    { refetchInterval: 30_000 },
  );
  const newest = data?.rollouts.find(
    ({ shadow, bundle }) => shadow !== undefined && bundle?.kind === BundleKind.RULES,
  );
  if (newest === undefined) {
    return (
      <Panel title="Shadow">
        <p className="muted">
          No newer rollout began with a shadow. To see what a bundle would catch before it runs:{" "}
          <code>fleetctl rollout rules --shadow 30m</code>.
        </p>
      </Panel>
    );
  }
  return (
    <ShadowPanel
      rolloutId={newest.id}
      aside={<Link to={`/rollouts/${newest.id}`}>{bundleText(newest.bundle)}</Link>}
    />
  );
}

function Sums({ shadow }: { readonly shadow: Shadow }) {
  return (
    <div className="calm">
      <Facts
        facts={[
          [shadow.isOver ? "Over" : "Until", <Ago key="until" time={shadow.until} />],
          ["Agents", `${shadow.evaluated} of ${shadow.agents}, ${shadow.refused} could not`],
          ["Events", countText(shadow.events)],
          ["Alerts now", countText(shadow.now)],
          ["With it", countText(shadow.candidate)],
          ["New, gone", `${countText(shadow.new)}, ${countText(shadow.gone)}`],
        ]}
      />
    </div>
  );
}

const columns: readonly Column<ShadowRuleSum>[] = [
  { key: "rule", head: "Rule", width: "minmax(100px, 2fr)", cell: ({ rule }) => rule },
  { key: "now", head: "Now", width: "56px", isNumber: true, cell: (row) => countText(row.now) },
  { key: "with", head: "With it", width: "56px", isNumber: true, cell: (row) => countText(row.candidate) },
  {
    key: "new",
    head: "New",
    width: "48px",
    isNumber: true,
    isWideOnly: true,
    cell: (row) => countText(row.new),
  },
  {
    key: "gone",
    head: "Gone",
    width: "48px",
    isNumber: true,
    isWideOnly: true,
    cell: (row) => countText(row.gone),
  },
];
