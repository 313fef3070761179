import { useInfiniteQuery, useQuery } from "@connectrpc/connect-query";
import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import type { Identity } from "#proto/fleet/v1/auth";
import {
  AlertGroupService,
  type AlertGroup,
  type ListAlertGroupsResponse,
} from "#proto/fleet/v1/alert_group";
import { byPage, readOnUnlessSparse, unlessReadBack } from "../api/paging.ts";
import { may } from "../view/may.ts";
import { Badge, State } from "../components/badge.tsx";
import { FilterBox } from "../components/filter-box.tsx";
import { GroupDialog, GroupSteps, type GroupAct } from "../components/group-steps.tsx";
import {
  isLookedAt,
  keepFirstPage,
  News,
  useHeld,
  useNewest,
  useReadBack,
  type PageOf,
} from "../components/held.tsx";
import { PageHead } from "../components/panel.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Rows, type Column } from "../components/rows.tsx";
import { Searched } from "../components/searched.tsx";
import { Select } from "../components/select.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { alertTabs, Tabs } from "../components/tabs.tsx";
import { Ago } from "../components/time.tsx";
import {
  chosenText,
  groupWish,
  groupWishes,
  groupWord,
  onlyGroups,
  stepGroupsMax,
  withoutGroups,
} from "../view/alert-group.ts";
import { holdsAll } from "../view/find.ts";
import type { Order } from "../view/held.ts";
import { parseWish } from "../view/match.ts";
import { countText } from "../view/quantity.ts";
import { msOf } from "../view/time.ts";
import { priorities, priorityTone } from "../view/words.ts";

/** What waits for somebody: alerts of one rule, cluster and actor stand together, and people say what became of them. */
export function AlertGroupsPage({ identity }: { readonly identity: Identity }) {
  const [text, setText] = useParam("q");
  const [state, setState] = useParam("state", "current");
  const [priority, setPriority] = useParam("priority");
  const wish = useDeferredValue(useMemo(() => parseWish(text), [text]));
  return (
    <>
      <PageHead title="Alerts" aside={<Tabs label="Alerts" tabs={alertTabs(identity)} />} />
      <div className="tools">
        <FilterBox
          label="Filter groups"
          hint="words, or rule=…, region=eu, priority>=warning"
          value={text}
          onChange={setText}
          problem={wish.problem}
        />
        <Select
          label="State"
          value={state}
          options={Object.keys(groupWishes)}
          none="current"
          onChange={setState}
        />
        <Select
          label="Least severe"
          value={priority}
          options={["", ...priorities]}
          none="any priority"
          onChange={setPriority}
        />
      </div>
      <Groups
        key={`${state} ${priority} ${wish.matchers}`}
        identity={identity}
        state={state}
        priority={priority}
        matchers={wish.matchers}
        words={wish.words}
      />
    </>
  );
}

interface GroupsProps {
  readonly identity: Identity;
  readonly state: string;
  readonly priority: string;
  readonly matchers: string;
  readonly words: readonly string[];
}

function Groups(props: GroupsProps) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [act, setAct] = useState<GroupAct>();
  const [acts, setActs] = useState(0);
  const onDone = (stepped: readonly AlertGroup[]) => {
    setChosen((before) => withoutGroups(before, stepped));
    setActs((before) => before + 1);
  };
  return (
    <>
      {act === undefined ? undefined : (
        <GroupDialog act={act} onDone={onDone} onClose={() => setAct(undefined)} />
      )}
      <List
        {...props}
        chosen={chosen}
        onChoose={setChosen}
        onAct={setAct}
        isActing={act !== undefined}
        acts={acts}
      />
    </>
  );
}

interface ListProps extends GroupsProps {
  readonly chosen: ReadonlySet<string>;
  readonly onChoose: Choose;
  readonly onAct: (act: GroupAct) => void;
  /** A dialog about some of them is open. */
  readonly isActing: boolean;
  /** How often something was done with some: that shows at once, whoever looks. */
  readonly acts: number;
}

const pageSize = 200;
const pageOf: PageOf<ListAlertGroupsResponse, AlertGroup> = {
  rowsOf: ({ groups }) => groups,
  backTo: ({ lookedBackTo }) => lookedBackTo,
  lookedAt: ({ lookedAt }) => lookedAt,
};
const order: Order<AlertGroup> = {
  keyOf: ({ id }) => id,
  msOf: ({ receivedAt }) => msOf(receivedAt) ?? 0,
};

function isFound({ rule, actor, clusterName, note }: AlertGroup, words: readonly string[]): boolean {
  return holdsAll([rule, actor, clusterName, note], words);
}

/** The groups as they are held for who looks at them, chose some that are seen, or is about to do something with some. */
function useGroups({ state, priority, matchers, words, chosen, isActing, acts }: ListProps) {
  const { states, ...silenced } = groupWish(state);
  const wish = { filter: { matchers, minPriority: priority }, states: [...states], ...silenced, pageSize };
  const answer = useInfiniteQuery(
    AlertGroupService.method.listAlertGroups,
    { ...wish, pageToken: "" },
    { ...byPage, refetchInterval: unlessReadBack(5_000), placeholderData: (before) => before },
  );
  const { data, isPlaceholderData } = answer;
  const isReadBack = (data?.pages.length ?? 0) > 1;
  const newest = useQuery(AlertGroupService.method.listAlertGroups, wish, {
    enabled: isReadBack,
    refetchInterval: 5_000,
  });
  const newer = useNewest(isReadBack ? data?.pages[0] : undefined, newest, pageOf, order);
  const read = useReadBack(data, pageOf);
  const place = useRef<HTMLDivElement>(null);
  const held = useHeld({
    key: `${isPlaceholderData}`,
    read,
    newest: newer,
    order,
    isHeld: (seen) =>
      isActing ||
      isLookedAt(place.current) ||
      seen.some((group) => chosen.has(group.id) && isFound(group, words)),
    turn: acts,
    restart: useCallback(() => keepFirstPage(data), [data]),
  });
  return { answer, held, place };
}

function List(props: ListProps) {
  const { identity, state, words, chosen, onChoose } = props;
  const { answer, held, place } = useGroups(props);
  const mayStep = may(identity, "operate");
  const columns = useMemo(
    () => (mayStep ? [pickOf(chosen, onChoose), ...shown] : shown),
    [chosen, onChoose, mayStep],
  );
  const reading = { ...pageOf, words, isFound: (group: AlertGroup) => isFound(group, words) };
  const rows = held.rows.filter(reading.isFound);
  const searched = <Searched rows="groups" pages={answer} reading={reading} />;
  const news = <News count={held.waiting.filter(reading.isFound).length} takeIn={held.takeIn} />;
  const { isTakenIn, rows: all } = held;
  useEffect(() => {
    const left = isTakenIn ? onlyGroups(chosen, all) : chosen;
    if (left.size < chosen.size) onChoose(left);
  }, [isTakenIn, all, chosen, onChoose]);
  return (
    <>
      <div ref={place}>
        <Answered answer={answer} lines={12}>
          {() => {
            if (rows.length === 0 && !answer.hasNextPage) return <NoGroup state={state} />;
            return (
              <>
                {rows.length === 0 ? undefined : (
                  <Rows
                    label="Groups of alerts"
                    rows={rows}
                    columns={columns}
                    keyOf={order.keyOf}
                    height={50}
                    {...readOnUnlessSparse(answer, reading)}
                  />
                )}
                {searched}
              </>
            );
          }}
        </Answered>
      </div>
      {chosen.size === 0 ? (
        news
      ) : (
        <Chosen {...props} picked={rows.filter(({ id }) => chosen.has(id))}>
          {news}
        </Chosen>
      )}
    </>
  );
}

interface ChosenProps extends Pick<ListProps, "identity" | "chosen" | "onChoose" | "onAct"> {
  /** Those that are seen: with others nothing is done. */
  readonly picked: readonly AlertGroup[];
  readonly children: ReactNode;
}

function Chosen({ identity, chosen, onChoose, onAct, picked, children }: ChosenProps) {
  return (
    <div className="picked" role="region" aria-label="Chosen groups">
      <span>{chosenText(picked.length, chosen.size - picked.length)}</span>
      {picked.length === 0 ? undefined : (
        <GroupSteps groups={picked.slice(0, stepGroupsMax)} identity={identity} onAct={onAct} />
      )}
      <button type="button" className="button quiet" onClick={() => onChoose(new Set())}>
        Choose none
      </button>
      {children}
    </div>
  );
}

function NoGroup({ state }: { readonly state: string }) {
  return (
    <Empty>
      {state === "current"
        ? "Nothing waits for anybody: no group is open or acknowledged."
        : "No group matches."}
    </Empty>
  );
}

type Choose = (ids: ReadonlySet<string>) => void;

function pickOf(chosen: ReadonlySet<string>, choose: Choose): Column<AlertGroup> {
  return {
    key: "pick",
    head: "",
    width: "18px",
    cell: ({ id, rule, clusterName }) => (
      <input
        type="checkbox"
        className="pick"
        aria-label={`Choose ${rule} on ${clusterName}`}
        checked={chosen.has(id)}
        onChange={({ target }) => {
          const next = new Set(chosen);
          if (target.checked) next.add(id);
          else next.delete(id);
          choose(next);
        }}
      />
    ),
  };
}

const shown: readonly Column<AlertGroup>[] = [
  {
    key: "priority",
    head: "Priority",
    width: "92px",
    isWideOnly: true,
    cell: ({ priority }) => <Badge tone={priorityTone(priority)}>{priority}</Badge>,
  },
  {
    key: "what",
    head: "What",
    width: "minmax(130px, 1fr)",
    cell: (group) => (
      <Link to={`/alerts/${group.id}`} className="two-lines">
        <span className={`cut alert-rule tone-${priorityTone(group.priority)}`}>{group.rule}</span>
        <span className="cut muted">
          <span className="narrow-only">
            {group.clusterName}, <Ago time={group.lastAt} />:{" "}
          </span>
          {group.actor === "*" ? "many actors" : group.actor || "no actor named"}
        </span>
      </Link>
    ),
  },
  {
    key: "cluster",
    head: "Cluster",
    width: "minmax(90px, 160px)",
    isWideOnly: true,
    cell: ({ clusterName }) => (
      <Link to={`/clusters/${clusterName}`} className="cut">
        {clusterName}
      </Link>
    ),
  },
  {
    key: "state",
    head: "State",
    width: "150px",
    isWideOnly: true,
    cell: ({ state, silencedUntil, note }) => (
      <span title={note}>
        <State word={groupWord(state)} />
        {silencedUntil === undefined ? undefined : (
          <span className="cut faint">
            silenced, ends <Ago time={silencedUntil} />
          </span>
        )}
      </span>
    ),
  },
  {
    key: "count",
    head: "Alerts",
    width: "54px",
    isNumber: true,
    cell: ({ count, notStored }) => (
      <span title={notStored === 0n ? "" : `${notStored} of these were counted and not stored`}>
        {countText(count)}
        {notStored === 0n ? "" : "*"}
      </span>
    ),
  },
  {
    key: "first",
    head: "First",
    width: "84px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ firstAt }) => <Ago time={firstAt} />,
  },
  {
    key: "last",
    head: "Last",
    width: "84px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ lastAt }) => <Ago time={lastAt} />,
  },
];
