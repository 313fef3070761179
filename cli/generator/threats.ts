import { adminBinding } from "./bodies.ts";
import type { Account, Cast } from "./cast.ts";
import type { Request } from "./event.ts";
import type { Random } from "./random.ts";

export type ThreatKind = "privilege-escalation" | "secret-read" | "exec";

/** A request that must raise exactly one alert, and the starter rule that must raise it. */
export interface Threat {
  readonly kind: ThreatKind;
  readonly rule: string;
  readonly request: Request;
}

/** The `index`-th threat of a log. The three kinds take turns, so that a short log has all of them. */
export function plantThreat(cast: Cast, random: Random, index: number): Threat {
  const plant = plants[index % plants.length] ?? grantAdmin;
  return plant(cast, random);
}

const plants: readonly ((cast: Cast, random: Random) => Threat)[] = [grantAdmin, takeSecret, execIntoPod];

function somebody(cast: Cast, random: Random): Account {
  return random.chance(0.5) ? cast.intruder : random.pick(cast.developers);
}

function grantAdmin(cast: Cast, random: Random): Threat {
  const by = somebody(cast, random);
  const name = `${random.pick(["debug", "temp", "migration", "support"])}-${random.hex(4)}`;
  const subject = { kind: "User", apiGroup: "rbac.authorization.k8s.io", name: by.username };
  const body = adminBinding(name, subject);
  const object = { resource: "clusterrolebindings", name, apiGroup: "rbac.authorization.k8s.io" };
  const uri =
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings?fieldManager=kubectl-create&fieldValidation=Strict";
  const request = { by, verb: "create", uri, object, code: 201, requestObject: body, responseObject: body };
  return { kind: "privilege-escalation", rule: "Cluster Admin Granted", request };
}

function takeSecret(cast: Cast, random: Random): Threat {
  return random.chance(0.5) ? readSecret(cast, random) : listSecrets(cast, random);
}

function readSecret(cast: Cast, random: Random): Threat {
  const { namespace } = random.pick(cast.apps);
  const name = random.pick(["db-credentials", "stripe-api", "tls-key", "registry-login"]);
  const object = { resource: "secrets", namespace, name };
  const uri = `/api/v1/namespaces/${namespace}/secrets/${name}`;
  const request = { by: somebody(cast, random), verb: "get", uri, object, code: 200 };
  return { kind: "secret-read", rule: "Secret Read By Person", request };
}

function listSecrets(cast: Cast, random: Random): Threat {
  const { namespace } = random.pick(cast.apps);
  const object = { resource: "secrets", namespace };
  const uri = `/api/v1/namespaces/${namespace}/secrets?limit=500`;
  const request = { by: somebody(cast, random), verb: "list", uri, object, code: 200 };
  return { kind: "secret-read", rule: "Secrets Listed By Person", request };
}

function execIntoPod(cast: Cast, random: Random): Threat {
  const app = random.pick(cast.apps);
  const name = random.pick(app.pods);
  const object = { resource: "pods", namespace: app.namespace, name, subresource: "exec" };
  const command = random.pick([
    "command=sh",
    "command=bash&command=-i",
    "command=sh&command=-c&command=id%3B+uname+-a",
  ]);
  const uri = `/api/v1/namespaces/${app.namespace}/pods/${name}/exec?${command}&container=${app.name}&stdin=true&stdout=true&tty=true`;
  // kubectl speaks WebSocket since 1.31 (a GET); older clients speak SPDY (a POST).
  const verb = random.pick(["get", "get", "create"]);
  const request = { by: somebody(cast, random), verb, uri, object, code: 101, long: true };
  return { kind: "exec", rule: "Exec Into Pod", request };
}
