import { untilNul, wholeText } from "../json/text.ts";
import type { FieldDefinition } from "./field.ts";
import {
  auditOnly,
  computed,
  elements,
  indexOf,
  scalar,
  spread,
  stringAt,
  textAt,
  textList,
  texts,
  textsOf,
  walk,
} from "./path.ts";
import { queryValue } from "./uri.ts";

const annotation = (name: string, key: string, doc: string): FieldDefinition =>
  scalar(name, ["annotations", key], doc);

/** Fields of every audit event: who, what, where, and how it ended. */
export const eventFields: readonly FieldDefinition[] = [
  scalar("ka.auditid", ["auditID"], "Unique id of the audit event"),
  scalar("ka.stage", ["stage"], "Stage of the request, such as RequestReceived or ResponseComplete"),
  annotation("ka.auth.decision", "authorization.k8s.io/decision", "Authorization decision: allow or forbid"),
  annotation("ka.auth.reason", "authorization.k8s.io/reason", "Reason of the authorization decision"),
  annotation(
    "ka.auth.openshift.decision",
    "authentication.openshift.io/decision",
    "Authentication decision recorded by OpenShift",
  ),
  annotation(
    "ka.auth.openshift.username",
    "authentication.openshift.io/username",
    "User who tried to log in, recorded by OpenShift",
  ),
  annotation(
    "ka.validations.admission.policy.failure",
    "validation.policy.admission.k8s.io/validation_failure",
    "Failures of a ValidatingAdmissionPolicy, as JSON",
  ),
  annotation(
    "ka.security.pod.violations",
    "pod-security.kubernetes.io/audit-violations",
    "Pod security standard violations found in audit mode",
  ),
  annotation("ka.cluster.name", "cluster_name", "Name of the cluster, where an annotation carries it"),
  scalar("ka.user.name", ["user", "username"], "User who made the request"),
  textList("ka.user.groups", "Groups of the user who made the request", "none", (event) =>
    elements(event, walk(event, event.root, ["user", "groups"]), undefined),
  ),
  scalar("ka.impuser.name", ["impersonatedUser", "username"], "User who is impersonated"),
  scalar("ka.verb", ["verb"], "Action of the request, such as get, create or delete"),
  scalar("ka.uri", ["requestURI"], "Request URI as the client sent it"),
  {
    name: "ka.uri.param",
    type: "CHARBUF",
    isList: false,
    argument: "key-required",
    doc: "First value of a query parameter of the URI, decoded; the key is the parameter's name",
    bind: (key = "") =>
      auditOnly((event) => {
        const uri = walk(event, event.root, ["requestURI"]);
        const value = uri < 0 ? undefined : queryValue(wholeText(event.tape, uri), key);
        return value === undefined ? undefined : untilNul(value);
      }),
  },
  scalar("ka.useragent", ["userAgent"], "User agent of the client"),
  {
    name: "ka.sourceips",
    type: "CHARBUF",
    isList: true,
    argument: "index-optional",
    doc: "Addresses the request came through. Only the last one was seen by the API server itself; the others can be chosen by the client",
    bind: (argument, compat) => {
      // Falco looks for the addresses inside requestObject.rules, where they never are.
      if (compat === "strict") return () => undefined;
      const index = indexOf(argument);
      return auditOnly((event) => texts(event, walk(event, event.root, ["sourceIPs"]), index));
    },
  },
];

/** Fields of the object a request is about. */
export const targetFields: readonly FieldDefinition[] = [
  scalar("ka.target.name", ["objectRef", "name"], "Name of the object"),
  scalar("ka.target.namespace", ["objectRef", "namespace"], "Namespace of the object"),
  scalar("ka.target.resource", ["objectRef", "resource"], "Resource type of the object, such as pods"),
  scalar("ka.target.subresource", ["objectRef", "subresource"], "Subresource of the object, such as exec"),
  computed(
    "ka.target.pod.name",
    "Name of the pod in the response, when the object is a pod and no subresource",
    (event) => {
      if (stringAt(event, event.root, ["objectRef", "resource"]) !== "pods") return undefined;
      if ((stringAt(event, event.root, ["objectRef", "subresource"]) ?? "") !== "") return undefined;
      return textAt(event, event.root, ["responseObject", "metadata", "name"]);
    },
  ),
];

/** Fields of the answer. */
export const responseFields: readonly FieldDefinition[] = [
  scalar("ka.resp.name", ["responseObject", "metadata", "name"], "Name of the object in the response"),
  scalar("ka.response.code", ["responseStatus", "code"], "HTTP status code of the response, as text"),
  scalar("ka.response.reason", ["responseStatus", "reason"], "Reason of the response status"),
];

/** Fields of the smaller request bodies: config maps and services. */
export const bodyFields: readonly FieldDefinition[] = [
  scalar(
    "ka.req.configmap.name",
    ["objectRef", "name"],
    "Name of the object; meant for config maps, set for all",
  ),
  scalar("ka.req.configmap.obj", ["requestObject", "data"], "Data of the config map as JSON"),
  scalar("ka.req.service.type", ["requestObject", "spec", "type"], "Type of the service, such as NodePort"),
  {
    name: "ka.req.service.ports",
    type: "CHARBUF",
    isList: true,
    argument: "index-optional",
    doc: "Ports of the service: one element that holds the whole array as JSON",
    bind: (argument) => {
      const index = indexOf(argument);
      return auditOnly((event) => textsOf(event, spread(event, ["requestObject", "spec", "ports"], index)));
    },
  },
];
