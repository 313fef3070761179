import { useQuery } from "@connectrpc/connect-query";
import { useMemo } from "react";
import { BundleService, type Bundle } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { filesOf } from "../view/bundle.ts";
import { bundleText } from "../view/fleet.ts";
import { changesOf, rulesOf, type RulesText } from "../view/rules.ts";
import { EffectLists } from "./effect-lists.tsx";
import { Panel } from "./panel.tsx";
import { Link, useParam } from "./router.tsx";
import { Select } from "./select.tsx";
import { Answered } from "./states.tsx";

/** Which rules, macros and lists were written differently in another version. */
export function RulesChanges({ bundle, after }: { readonly bundle: Bundle; readonly after: RulesText }) {
  const [against, setAgainst] = useParam("against");
  const all = useQuery(BundleService.method.listBundles, { kind: BundleKind.RULES });
  const others = (all.data?.bundles ?? []).flatMap(({ ref }) =>
    ref?.name === bundle.ref?.name && ref?.digest !== bundle.ref?.digest ? [bundleText(ref)] : [],
  );
  const isAsked = others.includes(against);
  const other = useQuery(
    BundleService.method.getBundle,
    { bundle: against },
    { enabled: isAsked, staleTime: 300_000 },
  );
  return (
    <Panel
      title="What changed"
      aside={
        <Select
          label="Compare with"
          value={isAsked ? against : ""}
          options={["", ...others]}
          none="compare with …"
          onChange={setAgainst}
        />
      }
    >
      {isAsked ? (
        <Answered answer={other} lines={4}>
          {({ content }) => <Changes content={content} after={after} bundle={bundle} against={against} />}
        </Answered>
      ) : (
        <p className="muted">Rules, macros and lists that another version of this bundle says differently.</p>
      )}
    </Panel>
  );
}

interface ChangesProps {
  readonly content: Uint8Array;
  readonly after: RulesText;
  readonly bundle: Bundle;
  readonly against: string;
}

function Changes({ content, after, bundle, against }: ChangesProps) {
  const { added, removed, changed } = useMemo(
    () => changesOf(rulesOf(filesOf(content)), after),
    [content, after],
  );
  const lists = [
    { tone: "ok", name: "Added", items: added },
    { tone: "busy", name: "Changed", items: changed },
    { tone: "warn", name: "Removed", items: removed },
  ] as const;
  const digest = encodeURIComponent(bundle.ref?.digest ?? "");
  return (
    <>
      {lists.every(({ items }) => items.length === 0) ? (
        <p className="muted">The rules are the same.</p>
      ) : undefined}
      <EffectLists lists={lists} />
      <p className="after">
        <Link to={`/bundles/${digest}?against=${encodeURIComponent(against)}`}>Line by line</Link>
      </p>
    </>
  );
}
