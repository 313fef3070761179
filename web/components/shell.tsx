import { useQuery } from "@connectrpc/connect-query";
import { useEffect, useRef, useState, type ReactNode } from "react";
import type { Identity } from "#proto/fleet/v1/auth";
import { FreezeService } from "#proto/fleet/v1/freeze";
import { signOut } from "../api/session.ts";
import { selectorText } from "../view/selector.ts";
import { Boundary } from "./boundary.tsx";
import { Confirm, type Action } from "./dialog.tsx";
import { Icon, paths, Sign } from "./icons.tsx";
import { GlobalKeys, places } from "./keys.tsx";
import { Link } from "./router.tsx";
import { ThemeButton } from "./theme.tsx";
import { Ago } from "./time.tsx";

/** What stands around every page. */
export function Shell({
  identity,
  path,
  children,
}: {
  readonly identity: Identity;
  readonly path: string;
  readonly children: ReactNode;
}) {
  const bar = useRef<HTMLUListElement>(null);
  useEffect(() => {
    // On a phone the places are wider than the window.
    const here = bar.current?.querySelector<HTMLElement>("[aria-current]")?.parentElement;
    if (here !== null && here !== undefined) bar.current?.scrollTo({ left: here.offsetLeft - 60 });
  }, [path]);
  return (
    <div className="shell">
      <a className="skip" href="#main">
        To the content
      </a>
      <nav className="side" aria-label="Console">
        <Link to="/" className="brand" aria-label="Falconry, to the fleet">
          <img src="/icon.svg" alt="" width="20" height="20" />
          <span>Falconry</span>
        </Link>
        <ul ref={bar} className="places">
          {places.map(({ to, name, icon, letter }) => (
            <li key={to}>
              <Link
                to={to}
                className="place"
                aria-current={isAt(path, to) ? "page" : undefined}
                title={`g ${letter}`}
              >
                <Icon path={paths[icon]} />
                <span>{name}</span>
              </Link>
            </li>
          ))}
        </ul>
        <Who identity={identity} />
      </nav>
      <div className="stage">
        <FreezeBanner />
        <main id="main" className="main" tabIndex={-1}>
          <Boundary key={path}>{children}</Boundary>
        </main>
      </div>
      <GlobalKeys />
    </div>
  );
}

function isAt(path: string, to: string): boolean {
  return to === "/" ? path === "/" : path === to || path.startsWith(`${to}/`);
}

function Who({ identity }: { readonly identity: Identity }) {
  const [action, setAction] = useState<Action>();
  const scope = selectorText(identity.scope);
  const isLogin = identity.issuer !== "";
  const ask = () =>
    setAction({
      title: "Sign out",
      consequence: isLogin
        ? "Your login ends, here and wherever else it is used."
        : "This browser forgets the API token. The token itself stays usable.",
      verb: "Sign out",
      isDangerous: false,
      run: () => signOut(identity),
    });
  return (
    <div className="who">
      <div
        className="who-name"
        title={`${identity.name}, ${identity.role} of ${scope === "" ? "the whole fleet" : scope}`}
      >
        <strong>{identity.name}</strong>
        <span>
          {identity.role} · {scope === "" ? "whole fleet" : scope}
        </span>
      </div>
      <div className="who-actions">
        <ThemeButton />
        <button type="button" className="button small quiet" onClick={ask}>
          Sign out
        </button>
      </div>
      {action === undefined ? undefined : <Confirm action={action} onClose={() => setAction(undefined)} />}
    </div>
  );
}

/** While the fleet is frozen no wave begins, which explains much of what one sees. */
function FreezeBanner() {
  const { data } = useQuery(FreezeService.method.getFreeze, {}, { refetchInterval: 15_000 });
  const freeze = data?.freeze;
  if (freeze === undefined) return undefined;
  return (
    <div className="banner tone-warn" role="status">
      <Sign tone="warn" />
      <span>
        <strong>The fleet is frozen</strong> by {freeze.createdBy}, <Ago time={freeze.createdAt} />:{" "}
        {freeze.reason}
        {freeze.until === undefined ? undefined : (
          <>
            . It ends <Ago time={freeze.until} />
          </>
        )}
      </span>
    </div>
  );
}
