import { parse } from "yaml";
import { isObject } from "./field-set.ts";
import { applyTo, updateTo, type Stored } from "./managed-fields.ts";
import { validateObject } from "./openapi.ts";
import { apiVersionOf, targetOf, type Resource, type Target } from "./resources.ts";
import { isTerminating, terminate } from "./namespaces.ts";
import { byFields, byLabels } from "./selectors.ts";
import { ApiError, notFound } from "./status.ts";
import type { Store } from "./store.ts";
import type { TestIssuer } from "./issuer.ts";
import { requestToken, type TokenWish } from "./token-request.ts";

/** A request as the API sees it. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly contentType: string;
  readonly body: string;
}

/** One question of access: RBAC's terms. */
export interface Access {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace: string;
  readonly subresource: string;
  /** Of one object, where one is asked for. */
  readonly name?: string;
  /** Of what is no resource; the rest is empty then. */
  readonly path?: string;
}

/** What makes one cluster different from another. */
export interface ApiOptions {
  readonly served: readonly Resource[];
  readonly version: string;
  readonly user: string;
  /** RBAC of the one user that there is. */
  readonly allows: (access: Access) => boolean;
  /** Admission of writes; the answer is why not, where it is another code than 403 with that. */
  readonly denies: (object: Stored) => string | ApiError | undefined;
  /** What signs service-account tokens. */
  readonly issuer: TestIssuer;
  /** The log of a pod. */
  readonly logOf: (namespace: string, pod: string) => string;
}

const reviewsPath = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const noManager = "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value";
const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Answers everything but watches. */
export class Api {
  readonly #store: Store;
  readonly #options: ApiOptions;

  constructor(store: Store, options: ApiOptions) {
    this.#store = store;
    this.#options = options;
  }

  async answer(request: ApiRequest): Promise<object | string> {
    const discovered = this.#discovery(request);
    if (discovered !== undefined) return discovered;
    if (request.path === reviewsPath) return this.#review(request);
    const target = this.target(request);
    if (target.subresource === "token" && request.method === "POST") return this.#token(target, request);
    if (target.subresource === "log") return this.#options.logOf(target.namespace, target.name);
    if (target.subresource !== "" && target.subresource !== "status") throw unknownPath(request.path);
    switch (request.method) {
      case "GET":
        return target.name === "" ? this.#list(target, request) : this.#found(target);
      case "POST":
      case "PUT":
        return this.#write(target, request);
      case "PATCH":
        return this.#patch(target, request);
      case "DELETE":
        return this.#remove(target, request);
      default:
        throw new ApiError(
          405,
          "MethodNotAllowed",
          "the server does not allow this method on the requested resource",
        );
    }
  }

  /** What a request is about. Refuses what is not served, and what its user may not do. */
  target(request: ApiRequest): Target {
    const target = targetOf(request.path, this.#options.served);
    if (target === undefined) throw unknownPath(request.path);
    const { resource, namespace, name, subresource } = target;
    const isList = request.method === "GET" && name === "";
    const verb =
      request.query.get("watch") === "true" ? "watch" : isList ? "list" : (verbs[request.method] ?? "");
    const what = { verb, group: resource.group, resource: resource.plural, namespace, subresource };
    this.#authorize({ ...what, ...(name === "" ? {} : { name }) }, name);
    return target;
  }

  #authorize(access: Access, name: string): void {
    if (this.#options.allows(access)) return;
    const { verb, group, resource, namespace, subresource } = access;
    const full = group === "" ? resource : `${resource}.${group}`;
    const where = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
    const what = subresource === "" ? resource : `${resource}/${subresource}`;
    const named = name === "" ? full : `${full} "${name}"`;
    throw new ApiError(
      403,
      "Forbidden",
      `${named} is forbidden: User "${this.#options.user}" cannot ${verb} resource "${what}" in API group "${group}" ${where}`,
    );
  }

  #discovery({ path, method }: ApiRequest): object | undefined {
    if (method !== "GET") return undefined;
    if (path === "/version") {
      const [, major, minor] = /^v(\d+)\.(\d+)/.exec(this.#options.version) ?? [];
      return { major, minor, gitVersion: this.#options.version, platform: "linux/amd64" };
    }
    const discovered = this.#issuerAt(path);
    if (discovered !== undefined) return discovered;
    if (path === "/apis") return groupList(this.#options.served);
    const groupVersion = /^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))$/.exec(path);
    if (groupVersion === null) return undefined;
    const wanted = groupVersion[1] ?? groupVersion[2] ?? "";
    const resources = this.#options.served.filter((each) => apiVersionOf(each) === wanted);
    if (resources.length === 0) throw unknownPath(path);
    return {
      kind: "APIResourceList",
      apiVersion: "v1",
      groupVersion: wanted,
      resources: resources.map(({ plural, kind, namespaced }) => ({
        name: plural,
        singularName: kind.toLowerCase(),
        namespaced,
        kind,
        verbs: ["create", "delete", "get", "list", "patch", "update", "watch"],
      })),
    };
  }

  /** What others need to verify service-account tokens. */
  #issuerAt(path: string): object | undefined {
    const { url, jwks } = this.#options.issuer;
    const documents: Readonly<Record<string, object>> = {
      "/.well-known/openid-configuration": {
        issuer: url,
        jwks_uri: `${url}/openid/v1/jwks`,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["ES256"],
      },
      "/openid/v1/jwks": JSON.parse(jwks) as object,
    };
    const document = documents[path];
    if (document === undefined) return undefined;
    if (
      this.#options.allows({ verb: "get", group: "", resource: "", namespace: "", subresource: "", path })
    ) {
      return document;
    }
    const why = `forbidden: User "${this.#options.user}" cannot get path "${path}"`;
    throw new ApiError(403, "Forbidden", why);
  }

  async #token({ resource, namespace, name }: Target, request: ApiRequest): Promise<object> {
    if (resource.kind !== "ServiceAccount") throw unknownPath(request.path);
    const body = bodyOf(request);
    await refuseInvalid(body, "tokenrequests");
    const account = { namespace, account: name };
    return {
      ...body,
      status: requestToken(this.#store, this.#options.issuer, account, body["spec"] as TokenWish),
    };
  }

  async #review(request: ApiRequest): Promise<object> {
    const review = bodyOf(request);
    await refuseInvalid(review, "selfsubjectaccessreviews");
    const spec = isObject(review["spec"]) ? review["spec"] : {};
    const asked = (isObject(spec["resourceAttributes"]) ? spec["resourceAttributes"] : {}) as Record<
      string,
      string
    >;
    const path = spec["nonResourceAttributes"] as { verb: string; path: string } | undefined;
    const { verb = "", group = "", resource = "", namespace = "", subresource = "" } = asked;
    const allowed = this.#options.allows({ verb, group, resource, namespace, subresource, ...path });
    return { ...review, status: { allowed, ...(allowed ? {} : { reason: "no RBAC policy matched" }) } };
  }

  #list({ resource, namespace }: Target, { query }: ApiRequest): object {
    const labels = byLabels(query.get("labelSelector"));
    const fields = byFields(query.get("fieldSelector"));
    const items = this.#store.list(resource, namespace).filter((each) => labels(each) && fields(each));
    const limit = Number(query.get("limit") ?? "0");
    const isCut = limit > 0 && items.length > limit;
    return {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      // Nobody here asks for the rest.
      metadata: { resourceVersion: String(this.#store.version), ...(isCut ? { continue: "more" } : {}) },
      items: limit > 0 ? items.slice(0, limit) : items,
    };
  }

  #found({ resource, namespace, name }: Target): Stored {
    const found = this.#store.find(resource, namespace, name);
    if (found === undefined) throw notFound(resource.plural, name);
    return found;
  }

  async #write(target: Target, request: ApiRequest): Promise<Stored> {
    const object = await this.#admitted(target, bodyOf(request));
    const live = this.#store.find(target.resource, target.namespace, object.metadata.name);
    if (request.method === "POST" && live !== undefined) {
      throw new ApiError(
        409,
        "AlreadyExists",
        `${target.resource.plural} "${object.metadata.name}" already exists`,
      );
    }
    if (request.method === "PUT" && live === undefined) throw notFound(target.resource.plural, target.name);
    return this.#keep(target, updateTo(live, object, managerOf(request)), request);
  }

  async #patch(target: Target, request: ApiRequest): Promise<Stored> {
    const live = this.#store.find(target.resource, target.namespace, target.name);
    if (request.contentType.startsWith("application/apply-patch+yaml")) {
      const manager = request.query.get("fieldManager") ?? "";
      if (manager === "") throw new ApiError(422, "Invalid", noManager);
      const applied = bodyOf(request) as Stored;
      if (applied.metadata.managedFields !== undefined) {
        throw new ApiError(400, "BadRequest", "metadata.managedFields must be nil");
      }
      const checked = await this.#admitted(target, applied);
      const next = applyTo(live, checked, manager, request.query.get("force") === "true");
      return this.#keep(target, next, request);
    }
    if (!request.contentType.startsWith("application/merge-patch+json")) {
      throw new ApiError(415, "UnsupportedMediaType", `${request.contentType} is not served here`);
    }
    if (live === undefined) throw notFound(target.resource.plural, target.name);
    const next = await this.#admitted(target, mergePatch(live, bodyOf(request)) as Stored);
    return this.#keep(target, updateTo(live, next, managerOf(request)), request);
  }

  /** Whether the object is one that may be written here. */
  async #admitted(target: Target, object: Record<string, unknown>): Promise<Stored> {
    const { resource, namespace, name } = target;
    const candidate = object as Stored;
    const isAtHome =
      candidate.apiVersion === apiVersionOf(resource) &&
      candidate.kind === resource.kind &&
      (name === "" || candidate.metadata.name === name) &&
      (!resource.namespaced || (candidate.metadata.namespace ?? namespace) === namespace);
    if (!isAtHome) throw new ApiError(400, "BadRequest", "the object does not match the path of the request");
    if (resource.namespaced) {
      const namespaces = this.#options.served.find(({ kind }) => kind === "Namespace");
      const room = namespaces === undefined ? undefined : this.#store.find(namespaces, "", namespace);
      if (namespaces !== undefined && room === undefined) throw notFound("namespaces", namespace);
      const isNew = this.#store.find(resource, namespace, candidate.metadata.name) === undefined;
      if (isNew && room !== undefined && isTerminating(room)) {
        const what = `${resource.plural} "${candidate.metadata.name}" is forbidden`;
        const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
        throw new ApiError(403, "Forbidden", `${what}: ${why}`);
      }
      candidate.metadata.namespace = namespace;
    }
    await refuseInvalid(candidate, resource.plural);
    const why = this.#options.denies(candidate);
    if (why !== undefined) throw typeof why === "string" ? new ApiError(403, "Forbidden", why) : why;
    return candidate;
  }

  #keep({ resource }: Target, next: Stored, { query }: ApiRequest): Stored {
    if (query.get("dryRun") === "All") return next;
    return this.#store.put(resource, next);
  }

  #remove({ resource, namespace, name }: Target, request: ApiRequest): object {
    const options =
      request.body === "" ? {} : (JSON.parse(request.body) as { preconditions?: { uid?: string } });
    if (resource.kind === "Namespace") return terminate(this.#store, resource, name);
    this.#store.remove(resource, namespace, name, options.preconditions?.uid);
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success" };
  }
}

function groupList(served: readonly Resource[]): object {
  const groups = [...new Set(served.map(({ group }) => group))].filter((group) => group !== "");
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: groups.map((name) => {
      const versions = [...new Set(served.filter(({ group }) => group === name).map((each) => each.version))];
      const all = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
      return { name, versions: all, preferredVersion: all[0] };
    }),
  };
}

function unknownPath(path: string): ApiError {
  return new ApiError(404, "NotFound", `the server could not find the requested resource (${path})`);
}

function managerOf({ query }: ApiRequest): string {
  return query.get("fieldManager") ?? "unknown";
}

function bodyOf({ body, contentType }: ApiRequest): Record<string, unknown> {
  const value: unknown = contentType.includes("yaml") ? parse(body) : JSON.parse(body);
  if (!isObject(value)) throw new ApiError(400, "BadRequest", "the body is no object");
  return value;
}

async function refuseInvalid(object: object, plural: string): Promise<void> {
  const problems = await validateObject(object);
  if (problems.length === 0) return;
  const unknown = problems.filter(({ message }) => message === "unknown field");
  if (unknown.length > 0) {
    const words = unknown.map(({ field }) => `unknown field "${field}"`).join(", ");
    throw new ApiError(400, "BadRequest", `strict decoding error: ${words}`);
  }
  const words = problems.map(({ field, message }) => `${field}: Invalid value: ${message}`).join(", ");
  const causes = problems.map(({ field, message }) => ({ reason: "FieldValueInvalid", field, message }));
  throw new ApiError(422, "Invalid", `${plural} is invalid: ${words}`, causes);
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}
