import { useQuery } from "@connectrpc/connect-query";
import { useMemo } from "react";
import { BundleService, type Bundle } from "#proto/fleet/v1/bundle";
import { Badge } from "../components/badge.tsx";
import { BundleEffect } from "../components/bundle-effect.tsx";
import { Facts, PageHead, Panel } from "../components/panel.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Select } from "../components/select.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { diffLines, filesOf, hunks, kindText, type BundleFile } from "../view/bundle.ts";
import { bundleText } from "../view/fleet.ts";
import { bytesText, countText, digestText, nounText } from "../view/quantity.ts";

/** One bundle: what is in it, what it changes against another, and what the fleet would gain and lose by it. */
export function BundlePage({ bundle }: { readonly bundle: string }) {
  const answer = useQuery(BundleService.method.getBundle, { bundle }, { staleTime: 60_000 });
  const ref = answer.data?.bundle?.ref;
  return (
    <>
      <PageHead title={bundleText(ref) || digestText(bundle)} parent={<Link to="/bundles">Bundles</Link>} />
      <Answered answer={answer} lines={12}>
        {({ bundle: found, content }) =>
          found === undefined ? undefined : <Details bundle={found} content={content} />
        }
      </Answered>
    </>
  );
}

function Details({ bundle, content }: { readonly bundle: Bundle; readonly content: Uint8Array }) {
  const { ref } = bundle;
  return (
    <div className="columns wide-left">
      <div className="stack">
        <Contents bundle={bundle} content={content} />
      </div>
      <div className="stack">
        <Panel
          title="Release"
          aside={bundle.listed ? undefined : <Badge tone="warn">not listed any more</Badge>}
        >
          <Facts
            facts={[
              ["Kind", kindText(ref?.kind)],
              [
                "Proved by",
                `${countText(bundle.runningCount)} of ${nounText(bundle.assignedCount, "cluster")}`,
              ],
              [
                "Holds",
                Object.entries(bundle.counts)
                  .map(([what, count]) => `${count} ${what}`)
                  .join(", "),
              ],
              ["Size", bytesText(bundle.length)],
              ["Pushed by", bundle.pushedBy],
              ["Pushed", <Ago key="pushed" time={bundle.pushedAt} />],
              ["Targets version", String(bundle.targetsVersion)],
            ]}
          />
          <p className="hint digest">
            <code>{ref?.digest}</code>
          </p>
        </Panel>
        {kindText(ref?.kind) === "rules" ? <BundleEffect bundle={bundle} /> : undefined}
      </div>
    </div>
  );
}

/** The files, or how they differ from those of another version. */
function Contents({ bundle, content }: { readonly bundle: Bundle; readonly content: Uint8Array }) {
  const [against, setAgainst] = useParam("against");
  const all = useQuery(BundleService.method.listBundles, { kind: bundle.ref?.kind ?? 0 });
  const others = (all.data?.bundles ?? []).flatMap(({ ref }) =>
    ref !== undefined && ref.digest !== bundle.ref?.digest && ref.name === bundle.ref?.name
      ? [bundleText(ref)]
      : [],
  );
  const isAsked = against !== "";
  const other = useQuery(
    BundleService.method.getBundle,
    { bundle: against },
    { enabled: isAsked, staleTime: 60_000 },
  );
  const files = useMemo(() => filesOf(content), [content]);
  return (
    <Panel
      title={against === "" ? nounText(files.length, "file") : `What changed since ${against}`}
      aside={
        <Select
          label="Compare with"
          value={against}
          options={["", ...others]}
          none="compare with …"
          onChange={setAgainst}
        />
      }
    >
      {against === "" ? (
        files.map((file) => (
          <File key={`${file.layer} ${file.path}`} file={file} isOpen={files.length === 1} />
        ))
      ) : (
        <Answered answer={other} lines={8}>
          {(data) => <Changes before={filesOf(data.content)} after={files} />}
        </Answered>
      )}
    </Panel>
  );
}

function nameOf({ layer, path }: BundleFile): string {
  return layer === "" ? path : `${layer}: ${path}`;
}

function File({ file, isOpen }: { readonly file: BundleFile; readonly isOpen: boolean }) {
  return (
    <details className="file" open={isOpen}>
      <summary>
        {nameOf(file)} <span className="faint">{nounText(file.content.split("\n").length, "line")}</span>
      </summary>
      <pre className="text" tabIndex={0} aria-label={nameOf(file)}>
        {file.content}
      </pre>
    </details>
  );
}

function Changes({
  before,
  after,
}: {
  readonly before: readonly BundleFile[];
  readonly after: readonly BundleFile[];
}) {
  const changed = useMemo(() => {
    const names = new Set([...before, ...after].map(nameOf));
    const textIn = (files: readonly BundleFile[], name: string) =>
      files.find((file) => nameOf(file) === name)?.content ?? "";
    return [...names].flatMap((name) => {
      const [a, b] = [textIn(before, name), textIn(after, name)];
      return a === b ? [] : [{ name, lines: hunks(diffLines(a, b)) }];
    });
  }, [before, after]);
  if (changed.length === 0) return <Empty>The files are the same.</Empty>;
  return changed.map(({ name, lines }) => (
    <figure key={name} className="file">
      <figcaption>{name}</figcaption>
      <pre className="text diff" tabIndex={0} aria-label={`Changes of ${name}`}>
        {lines.map((line, i) =>
          line === "gap" ? (
            <span key={`${i} gap`} className="diff-line diff-gap">
              ⋯
            </span>
          ) : (
            <span key={`${i} ${line.kind}`} className={`diff-line diff-${line.kind}`}>
              {line.kind === "added" ? "+ " : line.kind === "removed" ? "- " : "  "}
              {line.text}
            </span>
          ),
        )}
      </pre>
    </figure>
  ));
}
