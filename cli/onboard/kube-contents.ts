import * as k8s from "@kubernetes/client-node";
import { withDeadline } from "./kube-deadline.ts";
import { refusalOf } from "./kube-error.ts";
import { counts, type Contents, type NamespacedKind } from "./plan/strangers.ts";

const askedAtOnce = 6;
/** Whoever has more objects of a kind in a namespace is seen by the first ones; that there are more is told. */
const eachMax = 100;

interface Listed extends NamespacedKind {
  /** In paths: "cronjobs". */
  readonly name: string;
  readonly isListable: boolean;
}

interface Found {
  readonly objects: readonly k8s.KubernetesObject[];
  readonly unseen: readonly string[];
}

/** Everything in a namespace that the API can list, whatever made it known: built-in kinds, custom ones, and those of other API servers. */
export async function contentsOf(
  config: k8s.KubeConfig,
  objects: k8s.KubernetesObjectApi,
  namespace: string,
): Promise<Contents> {
  const { groups } = await withDeadline(config.makeApiClient(k8s.ApisApi).getAPIVersions());
  const custom = config.makeApiClient(k8s.CustomObjectsApi);
  const unseen: string[] = [];
  const kinds = new Map<string, Listed>();
  /** Of a kind that a group knows in several versions, the first one that is taken counts. */
  const take = (apiVersion: string, { resources }: k8s.V1APIResourceList) => {
    for (const { name, kind, namespaced, verbs } of resources) {
      if (!namespaced || name.includes("/")) continue;
      const key = `${name}.${apiVersion.replace(/\/[^/]*$/, "")}`;
      if (!kinds.has(key)) kinds.set(key, { apiVersion, kind, name, isListable: verbs.includes("list") });
    }
  };
  take("v1", await withDeadline(config.makeApiClient(k8s.CoreV1Api).getAPIResources()));
  await inTurns(groups, async ({ name, preferredVersion, versions }) => {
    const preferred = versions.filter(({ version }) => version === preferredVersion?.version);
    for (const { groupVersion, version } of new Set([...preferred, ...versions])) {
      try {
        take(groupVersion, await withDeadline(custom.getAPIResources({ group: name, version })));
      } catch (error) {
        // An API server of somebody else's that is away may hold what nobody sees now.
        unseen.push(`what ${groupVersion} knows: ${whyOf(error)}`);
      }
    }
  });
  const listable = [...kinds.values()].filter((kind) => kind.isListable && counts(kind));
  const found: Found[] = [];
  await inTurns(listable, async (kind) => void found.push(await listed(config, objects, kind, namespace)));
  return {
    kinds: [...kinds.values()],
    objects: found.flatMap((each) => each.objects),
    unseen: [...unseen, ...found.flatMap((each) => each.unseen)].toSorted(),
  };
}

/** By its name in paths: a group may know several kinds of one name. */
async function listed(
  config: k8s.KubeConfig,
  objects: k8s.KubernetesObjectApi,
  resource: Listed,
  namespace: string,
): Promise<Found> {
  const { apiVersion, kind, name } = resource;
  const what = `${name} of ${apiVersion}`;
  try {
    const { items, metadata } = await withDeadline(pageOf(config, objects, resource, namespace));
    // Some API servers show in every namespace what is in another one.
    const here = items.filter((item) => item.metadata?.namespace === namespace);
    const isCut = (metadata?._continue ?? metadata?.continue ?? "") !== "";
    return {
      objects: here.map((item) => ({ ...item, apiVersion, kind })),
      unseen: isCut ? [`${what}: there are more than ${eachMax}`] : [],
    };
  } catch (error) {
    return { objects: [], unseen: [`${what}: ${whyOf(error)}`] };
  }
}

/** A list as the client reads it, or as it is on the wire. */
interface Page {
  readonly items: readonly k8s.KubernetesObject[];
  readonly metadata?: { readonly _continue?: string; readonly continue?: string };
}

function pageOf(
  config: k8s.KubeConfig,
  objects: k8s.KubernetesObjectApi,
  { apiVersion, kind, name: plural }: Listed,
  namespace: string,
): Promise<Page> {
  const [group = "", version] = apiVersion.split("/");
  if (version !== undefined) {
    const custom = config.makeApiClient(k8s.CustomObjectsApi);
    const asked = { group, version, namespace, plural, limit: eachMax };
    return custom.listNamespacedCustomObject(asked) as Promise<Page>;
  }
  // The core has one name for each kind, and no place among the custom ones.
  const none = undefined;
  return objects.list(apiVersion, kind, namespace, none, none, none, none, none, eachMax);
}

/** Rethrows what is no refusal: then the cluster is away, and nothing of it is known. */
function whyOf(error: unknown): string {
  const refusal = refusalOf(error);
  if (refusal === undefined) throw error;
  return refusal.message;
}

async function inTurns<T>(all: readonly T[], work: (each: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < all.length; start += askedAtOnce) {
    await Promise.all(all.slice(start, start + askedAtOnce).map(work));
  }
}
