import { useState } from "react";
import type { Identity } from "#proto/fleet/v1/auth";
import {
  RolloutClusterState,
  RolloutState,
  type Rollout,
  type RolloutCluster,
  type Wave,
} from "#proto/fleet/v1/rollout";
import { decide, usePendingPlan, useRollout } from "../api/rollout.ts";
import { may } from "../view/may.ts";
import { Bar, State } from "../components/badge.tsx";
import { Confirm, type Action } from "../components/dialog.tsx";
import { Sign } from "../components/icons.tsx";
import { Facts, PageHead, Panel } from "../components/panel.tsx";
import { PlanPanel } from "../components/plan-panel.tsx";
import { Link } from "../components/router.tsx";
import { ShadowPanel } from "../components/shadow-panel.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { decisionsFor } from "../view/decisions.ts";
import { bundleText } from "../view/fleet.ts";
import { progressParts } from "../view/parts.ts";
import { digestText, nounText } from "../view/quantity.ts";
import { selectorText } from "../view/selector.ts";
import { lengthText } from "../view/time.ts";
import { gateWord, rolloutClusterWord, rolloutWord } from "../view/words.ts";

/** One rollout as it moves: how far it is, what it waits for, and what can be done. */
export function RolloutPage({ id, identity }: { readonly id: string; readonly identity: Identity }) {
  const answer = useRollout(id);
  const rollout = answer.data?.rollout;
  const plan = usePendingPlan(rollout);
  return (
    <>
      <PageHead
        title={bundleText(rollout?.bundle) || id}
        parent={<Link to="/rollouts">Rollouts</Link>}
        aside={
          rollout === undefined ? undefined : (
            <Decisions rollout={rollout} shown={plan.data?.plan?.digest} identity={identity} />
          )
        }
      />
      <Answered answer={answer} lines={12}>
        {(data) => (data.rollout === undefined ? undefined : <Details rollout={data.rollout} plan={plan} />)}
      </Answered>
    </>
  );
}

/** The buttons for what may be done now by who looks. */
function Decisions({
  rollout,
  shown,
  identity,
}: {
  readonly rollout: Rollout;
  /** The digest of the plan that is on the screen. */
  readonly shown: string | undefined;
  readonly identity: Identity;
}) {
  const [action, setAction] = useState<Action>();
  const { id, generation, planDigest } = rollout;
  const subject = { id, generation, planDigest, shown: shown ?? "" };
  const offered = decisionsFor(rollout, shown).filter(({ takes }) => may(identity, takes));
  return (
    <>
      {rollout.pending ? <span className="faint">has not begun</span> : undefined}
      <State word={rolloutWord(rollout.state)} />
      {offered.map(({ decision, verb, isDangerous, consequence, reasonLabel }) => (
        <button
          key={decision}
          type="button"
          className={isDangerous ? "button danger" : "button"}
          onClick={() =>
            setAction({
              title: `${verb} the rollout of ${bundleText(rollout.bundle)}`,
              consequence,
              verb,
              isDangerous,
              ...(reasonLabel === undefined ? {} : { reasonLabel }),
              run: (reason) => decide[decision](subject, reason),
            })
          }
        >
          {verb}
        </button>
      ))}
      {action === undefined ? undefined : <Confirm action={action} onClose={() => setAction(undefined)} />}
    </>
  );
}

function Details({
  rollout,
  plan,
}: {
  readonly rollout: Rollout;
  readonly plan: ReturnType<typeof usePendingPlan>;
}) {
  const { waves, because, state, shadow } = rollout;
  const word = rolloutWord(state);
  return (
    <div className="overview">
      {because === "" ? undefined : (
        <div className={`reason tone-${word.tone} across`} role="status">
          <Sign tone={word.tone} />
          <span>{because}</span>
        </div>
      )}
      <Progress rollout={rollout} />
      {rollout.pending ? <PlanPanel rollout={rollout} answer={plan} /> : undefined}
      <div className="columns wide-left">
        <div className="stack">
          {waves.map((wave, i) => (
            <WavePanel key={`${i} ${wave.name}`} wave={wave} index={i} rollout={rollout} />
          ))}
        </div>
        <div className="stack">
          <About rollout={rollout} />
          {rollout.approval === undefined ? undefined : <Approval rollout={rollout} />}
          {shadow === undefined ? undefined : <ShadowPanel rolloutId={rollout.id} />}
          <History rollout={rollout} />
        </div>
      </div>
    </div>
  );
}

function Progress({ rollout }: { readonly rollout: Rollout }) {
  const parts = progressParts(rollout.waves);
  return (
    <section className="panel progress" aria-label="Progress">
      <Bar parts={parts} label="Clusters" />
      <ul className="legend">
        {parts.map(({ tone, count, text }) => (
          <li key={text} className="state">
            <Sign tone={tone} /> {text} <strong className="number">{count}</strong>
          </li>
        ))}
        <li className="faint legend-end">
          {rollout.pending
            ? `${nounText(rollout.waves.length, "wave")}, none has begun`
            : `wave ${Math.min(rollout.wave + 1, rollout.waves.length)} of ${rollout.waves.length}`}
        </li>
      </ul>
    </section>
  );
}

function waveWord(wave: Wave, index: number, rollout: Rollout) {
  if (wave.finishedAt !== undefined) return { tone: "ok", text: "done" } as const;
  if (wave.startedAt === undefined) return { tone: "idle", text: "not begun" } as const;
  const isAtWork = index === rollout.wave && rollout.state === RolloutState.RUNNING;
  return isAtWork ? ({ tone: "busy", text: "in work" } as const) : rolloutWord(rollout.state);
}

const cellsMax = 300;

function WavePanel({
  wave,
  index,
  rollout,
}: {
  readonly wave: Wave;
  readonly index: number;
  readonly rollout: Rollout;
}) {
  const { name, clusters, gates } = wave;
  const those = clusters.toSorted((a, b) => rankOf(a) - rankOf(b));
  const wrong = those.filter(({ reason, state }) => reason !== "" && state !== RolloutClusterState.PROVED);
  return (
    <Panel
      title={`${index + 1}. ${name}`}
      aside={
        <span className="with-sign">
          <span className="faint">{nounText(clusters.length, "cluster")}</span>
          <State word={waveWord(wave, index, rollout)} />
        </span>
      }
    >
      <Bar parts={progressParts([wave])} label={`Clusters of ${name}`} />
      <ul className="cells wave-cells">
        {those.slice(0, cellsMax).map((cluster) => (
          <WaveCell key={cluster.clusterId} cluster={cluster} />
        ))}
      </ul>
      {clusters.length > cellsMax ? (
        <p className="hint">and {nounText(clusters.length - cellsMax, "more cluster")}</p>
      ) : undefined}
      {wrong.slice(0, 8).map((cluster) => (
        <p key={cluster.clusterId} className="attempt-why">
          <Link to={`/clusters/${cluster.clusterName}`}>{cluster.clusterName}</Link> {cluster.reason}
        </p>
      ))}
      {gates.length === 0 ? undefined : <Gates wave={wave} />}
    </Panel>
  );
}

/** What failed stands first. */
function rankOf({ state }: RolloutCluster): number {
  const { FAILED, REVERTED, ASSIGNED, WAITING } = RolloutClusterState;
  const at = [FAILED, REVERTED, ASSIGNED, WAITING].findIndex((each) => each === state);
  return at === -1 ? 9 : at;
}

function WaveCell({ cluster }: { readonly cluster: RolloutCluster }) {
  const { clusterName, state, reason } = cluster;
  const { tone, text } = rolloutClusterWord(state);
  const words = `${clusterName}: ${text}${reason === "" ? "" : `, ${reason}`}`;
  return (
    <li>
      <Link
        to={`/clusters/${clusterName}`}
        className={`map-cell tone-${tone}`}
        title={words}
        aria-label={words}
      >
        {undefined}
      </Link>
    </li>
  );
}

function Gates({ wave }: { readonly wave: Wave }) {
  return (
    <>
      <h3>Gates</h3>
      <ul className="gates" aria-label={`Gates of ${wave.name}`}>
        {wave.gates.map(({ gate, state, measured, limit, words }) => (
          <li key={gate} className="gate">
            <Sign tone={gateWord(state).tone} />
            <strong>{gate}</strong>
            <span>{gateWord(state).text}</span>
            <span className="faint number">
              {measured === "" ? "nothing measured" : measured}
              {limit === "" ? "" : `, limit ${limit}`}
            </span>
            <span className="gate-words muted">{words}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function About({ rollout }: { readonly rollout: Rollout }) {
  const { spec, bundle, partial } = rollout;
  const failures =
    spec === undefined || spec.maxFailuresPercent === 0
      ? String(spec?.maxFailures ?? 0)
      : `${spec.maxFailuresPercent} %`;
  const digest = bundle?.digest ?? "";
  return (
    <Panel title="Plan">
      <Facts
        facts={[
          [
            "Bundle",
            <Link key="bundle" to={`/bundles/${encodeURIComponent(digest)}`}>
              {bundleText(bundle)}
            </Link>,
          ],
          ["Where", partial ? "a part, by your scope" : selectorText(spec?.selector) || "the whole fleet"],
          ["Started by", rollout.createdBy],
          ["Started", <Ago key="at" time={rollout.createdAt} />],
          ["Ended", <Ago key="end" time={rollout.finishedAt} none="not yet" />],
          ["Soak", lengthText((spec?.soakSeconds ?? 0) * 1000)],
          ["Failures allowed", failures],
          ["Windows", spec === undefined || spec.windows.length === 0 ? "always" : spec.windows.join("; ")],
          ["Plan digest", <code key="digest">{digestText(rollout.planDigest)}</code>],
          ["Id", <code key="id">{rollout.id}</code>],
        ]}
      />
      {spec === undefined || spec.reason === "" ? undefined : <p className="attempt-why">{spec.reason}</p>}
    </Panel>
  );
}

function Approval({ rollout }: { readonly rollout: Rollout }) {
  const { needed = 0, why = "", given = [] } = rollout.approval ?? {};
  return (
    <Panel title="Approval" aside={<span className="faint number">{`${given.length} of ${needed}`}</span>}>
      <p className="muted">{why}</p>
      {given.map(({ name, at, until, reason }) => (
        <p key={name} className="attempt-why">
          <strong>{name}</strong> <Ago time={at} />, lapses <Ago time={until} /> {reason}
        </p>
      ))}
    </Panel>
  );
}

function History({ rollout }: { readonly rollout: Rollout }) {
  const acts = rollout.history.toReversed();
  return (
    <Panel title="History" isFlush>
      {acts.length === 0 ? <Empty>Nothing has happened yet.</Empty> : undefined}
      <ol className="lines">
        {acts.map(({ at, who, what, why }, i) => (
          <li key={`${acts.length - i}`} className="line">
            <strong>{what}</strong>
            <span className="faint">
              {who === "" ? "the server" : who} · <Ago time={at} />
            </span>
            {why === "" ? undefined : <span className="gate-words muted">{why}</span>}
          </li>
        ))}
      </ol>
    </Panel>
  );
}
