import type { Identity } from "#proto/fleet/v1/auth";
import { may } from "../view/may.ts";
import { Link, usePath } from "./router.tsx";

export interface Tab {
  readonly to: string;
  readonly name: string;
}

/** Pages that belong together, as links: each has an address of its own. */
export function Tabs({ label, tabs }: { readonly label: string; readonly tabs: readonly Tab[] }) {
  const path = usePath();
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(({ to, name }) => (
        <Link key={to} to={to} className="tab" aria-current={path === to ? "page" : undefined}>
          {name}
        </Link>
      ))}
    </nav>
  );
}

/** Who is told of what is for credentials of the whole fleet. */
export function alertTabs(identity: Identity): readonly Tab[] {
  const own = [
    { to: "/alerts", name: "Groups" },
    { to: "/alerts/all", name: "All alerts" },
    { to: "/alerts/silences", name: "Silences" },
  ];
  return may(identity, "notifications")
    ? [...own, { to: "/alerts/notifications", name: "Notifications" }]
    : own;
}
