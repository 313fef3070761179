import { useId, type ReactNode } from "react";

/** A part of a page, with a heading that names it. */
export function Panel({
  title,
  aside,
  children,
  isFlush = false,
}: {
  readonly title: string;
  readonly aside?: ReactNode;
  readonly children: ReactNode;
  /** Its content reaches the edges, as tables do. */
  readonly isFlush?: boolean;
}) {
  const id = useId();
  return (
    <section className={isFlush ? "panel flush" : "panel"} aria-labelledby={id}>
      <header className="panel-head">
        <h2 id={id}>{title}</h2>
        {aside === undefined ? undefined : <div className="panel-aside">{aside}</div>}
      </header>
      <div className="panel-body">{children}</div>
    </section>
  );
}

/** Names and values, a row each. */
export function Facts({ facts }: { readonly facts: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name} className="fact">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The name of a page, what it is part of, and what can be done there. */
export function PageHead({
  title,
  parent,
  aside,
}: {
  readonly title: string;
  readonly parent?: ReactNode;
  readonly aside?: ReactNode;
}) {
  return (
    <header className="page-head">
      <div className="page-title">
        {parent === undefined ? undefined : <span className="crumb">{parent} /</span>}
        <h1>{title}</h1>
      </div>
      {aside === undefined ? undefined : <div className="page-aside">{aside}</div>}
    </header>
  );
}
