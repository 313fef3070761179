import { useQuery } from "@connectrpc/connect-query";
import { Suspense, useEffect, type ReactNode } from "react";
import { AuthService, type Identity } from "#proto/fleet/v1/auth";
import { isSignedOut } from "./api/transport.ts";
import { later } from "./components/later.tsx";
import { usePath } from "./components/router.tsx";
import { Shell } from "./components/shell.tsx";
import { Refused, Waiting } from "./components/states.tsx";
import { AlertGroupPage } from "./pages/alert-group.tsx";
import { AlertGroupsPage } from "./pages/alert-groups.tsx";
import { AlertSilencesPage } from "./pages/alert-silences.tsx";
import { AlertsPage } from "./pages/alerts.tsx";
import { AuditPage } from "./pages/audit.tsx";
import { BundlePage } from "./pages/bundle.tsx";
import { BundlesPage } from "./pages/bundles.tsx";
import { ClusterPage } from "./pages/cluster.tsx";
import { ClustersPage } from "./pages/clusters.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { RolloutPage } from "./pages/rollout.tsx";
import { RolloutsPage } from "./pages/rollouts.tsx";
import { SignInPage } from "./pages/sign-in.tsx";

/** Reports bring their own room, which comes when somebody looks at one. */
const ReportsPage = later(async () => (await import("./pages/reports.tsx")).ReportsPage);
const NotificationsPage = later(
  async () => (await import("./pages/alert-notifications.tsx")).AlertNotificationsPage,
);
const RulesPage = later(async () => (await import("./pages/rules.tsx")).RulesPage);

/** Who is signed in sees the page of the address; everybody else the sign-in, at the same address. */
export function App() {
  const whoAmI = useQuery(AuthService.method.whoAmI, {}, { staleTime: 60_000, refetchInterval: 300_000 });
  const { data, error } = whoAmI;
  if (isSignedOut(error)) return <SignInPage />;
  if (data?.identity !== undefined) return <SignedIn identity={data.identity} />;
  return (
    <div className="alone">
      {error === null ? undefined : <Refused error={error} retry={() => void whoAmI.refetch()} />}
    </div>
  );
}

interface Route {
  readonly title: string;
  readonly page: ReactNode;
}

function SignedIn({ identity }: { readonly identity: Identity }) {
  const path = usePath();
  const { title, page } = routeOf(path, identity);
  useEffect(() => {
    document.title = `${title} · Falconry`;
  }, [title]);
  return (
    <Shell identity={identity} path={path}>
      <Suspense fallback={<Waiting lines={12} />}>{page}</Suspense>
    </Shell>
  );
}

function routeOf(path: string, identity: Identity): Route {
  const [place = "", encoded = ""] = path.split("/").slice(1);
  const id = decode(encoded);
  switch (place) {
    case "":
      return { title: "Fleet", page: <OverviewPage /> };
    case "clusters":
      return id === ""
        ? { title: "Clusters", page: <ClustersPage /> }
        : { title: id, page: <ClusterPage key={id} name={id} /> };
    case "rollouts":
      return id === ""
        ? { title: "Rollouts", page: <RolloutsPage /> }
        : { title: "Rollout", page: <RolloutPage key={id} id={id} identity={identity} /> };
    case "bundles":
      return id === ""
        ? { title: "Bundles", page: <BundlesPage /> }
        : { title: "Bundle", page: <BundlePage key={id} bundle={id} /> };
    case "alerts":
      return alertsRoute(id, identity);
    case "rules":
      return { title: "Rules", page: <RulesPage /> };
    case "reports":
      return { title: "Reports", page: <ReportsPage identity={identity} /> };
    case "audit":
      return { title: "Audit log", page: <AuditPage /> };
    default:
      return { title: "Not found", page: <p className="empty">There is no such page.</p> };
  }
}

function alertsRoute(id: string, identity: Identity): Route {
  switch (id) {
    case "":
      return { title: "Alerts", page: <AlertGroupsPage identity={identity} /> };
    case "all":
      return { title: "All alerts", page: <AlertsPage identity={identity} /> };
    case "notifications":
      return { title: "Notifications", page: <NotificationsPage identity={identity} /> };
    case "silences":
      return { title: "Silences", page: <AlertSilencesPage identity={identity} /> };
    default:
      return { title: "Alerts", page: <AlertGroupPage key={id} id={id} identity={identity} /> };
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
