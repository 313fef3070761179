import type { TestIssuer } from "./issuer.ts";
import type { Stored } from "./managed-fields.ts";
import { builtIn } from "./resources.ts";
import { ApiError, notFound } from "./status.ts";
import type { Store } from "./store.ts";

/** The part of a TokenRequest that says what is wanted. */
export interface TokenWish {
  readonly audiences?: readonly string[];
  readonly expirationSeconds?: number;
  readonly boundObjectRef?: { readonly kind?: string; readonly name?: string; readonly uid?: string };
}

const resource = (kind: string) => {
  const found = builtIn.find((each) => each.kind === kind);
  if (found === undefined) throw new Error(`${kind} is not served`);
  return found;
};

/** What kube-apiserver answers to a TokenRequest for a service account, and what a kubelet puts into a projected volume. */
export function requestToken(
  store: Store,
  issuer: TestIssuer,
  { namespace, account }: { readonly namespace: string; readonly account: string },
  { audiences = [issuer.url], expirationSeconds: seconds = 3600, boundObjectRef: bound }: TokenWish,
): { readonly token: string; readonly expirationTimestamp: string } {
  if (store.find(resource("ServiceAccount"), namespace, account) === undefined) {
    throw notFound("serviceaccounts", account);
  }
  if (seconds < 600) {
    const why = "may not specify a duration less than 10 minutes";
    throw new ApiError(422, "Invalid", `spec.expirationSeconds: Invalid value: ${seconds}: ${why}`);
  }
  const about = bound === undefined ? {} : boundTo(store, namespace, account, bound);
  const token = issuer.token({ namespace, account, ...about }, { audiences, seconds });
  return { token, expirationTimestamp: new Date(Date.now() + seconds * 1000).toISOString() };
}

function boundTo(
  store: Store,
  namespace: string,
  account: string,
  { kind, name = "", uid }: NonNullable<TokenWish["boundObjectRef"]>,
) {
  if (kind !== "Pod") {
    throw new ApiError(422, "Invalid", `spec.boundObjectRef.kind: Unsupported value: ${kind}`);
  }
  const pod = store.find(resource("Pod"), namespace, name);
  if (pod === undefined) throw notFound("pods", name);
  const spec = pod["spec"] as { nodeName?: string; serviceAccountName?: string };
  if (spec.serviceAccountName !== account) {
    throw new ApiError(
      400,
      "BadRequest",
      `cannot bind token for serviceaccount "${account}" to pod running with different serviceaccount name.`,
    );
  }
  if (uid !== undefined && uid !== uidOf(pod)) {
    throw new ApiError(
      409,
      "Conflict",
      `the UID in the bound object reference (${uid}) does not match the UID in record`,
    );
  }
  const node = store.find(resource("Node"), "", spec.nodeName ?? "");
  return {
    pod: { name, uid: uidOf(pod) },
    ...(node === undefined ? {} : { node: { name: node.metadata.name, uid: uidOf(node) } }),
  };
}

function uidOf({ metadata }: Stored): string {
  return String(metadata.uid);
}
