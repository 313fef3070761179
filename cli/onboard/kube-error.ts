import { ApiException } from "@kubernetes/client-node";
import { exitCodes, Failure } from "../failure.ts";
import { clean } from "../output/text.ts";
import { shellWord } from "./plan/shell-word.ts";

/** What kube-apiserver said no to. */
export interface KubeRefusal {
  readonly code: number;
  readonly message: string;
}

/** The refusal in an error of the Kubernetes client; undefined when no kube-apiserver answered. */
export function refusalOf(error: unknown): KubeRefusal | undefined {
  if (!(error instanceof ApiException)) return undefined;
  return { code: error.code, message: messageOf(error.body) ?? `HTTP ${error.code}` };
}

/** The client hands some bodies over as text and others as objects. */
function messageOf(body: unknown): string | undefined {
  let value = body;
  if (typeof body === "string") {
    try {
      value = JSON.parse(body);
    } catch {
      // Whatever stands before kube-apiserver answered, not in its language.
      return clean(body.trim().slice(0, 300));
    }
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { message } = value as { message?: unknown };
  return typeof message === "string" ? clean(message.slice(0, 2000)) : undefined;
}

/** An error of the Kubernetes client as a failure that says where, what and what next. */
export function explainKube(
  error: unknown,
  place: { readonly context: string; readonly server: string },
): Failure {
  if (error instanceof Failure) return error;
  const where = `The cluster of context "${place.context}"`;
  const refusal = refusalOf(error);
  if (refusal === undefined) {
    const cause = causeOf(error);
    return new Failure(
      exitCodes.away,
      `${where} cannot be reached at ${place.server}: ${cause}`,
      [
        `kubectl --context ${shellWord(place.context)} version   asks the same cluster with the same credentials`,
      ],
      error,
    );
  }
  const { code, message } = refusal;
  const advice = adviceFor(message, place.context);
  if (advice !== undefined) {
    return new Failure(exitCodes.refused, `${where} refused: ${message}`, advice, error);
  }
  if (code === 429 || code >= 500) {
    const next = ["Run the same command again in a moment; it goes on from where it was."];
    return new Failure(exitCodes.away, `${where} failed: ${message}`, next, error);
  }
  return new Failure(exitCodes.refused, `${where} refused: ${message}`, nextFor(code), error);
}

/** kubectl asks the cluster of its own current context unless it is told another. */
const inContext = (line: string, context: string): string =>
  line.replaceAll("kubectl ", () => `kubectl --context ${shellWord(context)} `);

const tryPrint = "--print   gives the manifests, to try them against it";

/** What stands between kube-apiserver and an object, whatever code it answers with; the first that fits counts. */
const hindrances: readonly (readonly [words: RegExp, ...next: readonly string[]])[] = [
  [
    /failed calling webhook/,
    "The admission webhook does not answer, and nothing that it judges can be written until it does: have its owner bring it back, or except the namespace from it; then run the same command again.",
    "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations   shows whose it is",
  ],
  [
    /ValidatingAdmissionPolicy/,
    "A ValidatingAdmissionPolicy of the cluster is in the way: have its owner except the namespace from its binding, or ask for what it wants.",
    tryPrint,
  ],
  [
    /(?:exceeded|failed|insufficient) quota/,
    "A ResourceQuota of the namespace is used up or wants what is not there: have it raised, or take another one: --namespace NAME",
  ],
  [
    /violates PodSecurity/,
    "An agent has directories of its node, which that profile does not let anybody have: kubectl label namespace NAME pod-security.kubernetes.io/enforce=privileged, or take another one: --namespace NAME",
  ],
  [
    /being terminated/,
    "The namespace is still being deleted: run the same command again when kubectl get namespace NAME does not find it any more. Its status says what keeps it.",
  ],
  [
    /admission webhook/,
    "An admission webhook of the cluster is in the way: except the namespace from it, or ask its owner for what it wants.",
    tryPrint,
  ],
];

/** What to do about what kube-apiserver says is in the way; undefined when it names nothing that is known. */
export function adviceFor(message: string, context: string): readonly string[] | undefined {
  const [, ...next] = hindrances.find(([words]) => words.test(message)) ?? [];
  return next.length === 0 ? undefined : next.map((line) => inContext(line, context));
}

function nextFor(code: number): string[] {
  if (code === 401) return ["Log in to the cluster again: the credentials of this context are not accepted."];
  if (code === 403) return ["Use a context whose user may do this: --context NAME"];
  if (code === 409) {
    return [
      "Somebody else owns these fields: take theirs back, or remove the object and run this again. Nothing is taken by force.",
    ];
  }
  return [tryPrint];
}

function causeOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: unknown };
  if (cause instanceof Error && cause !== error) return causeOf(cause);
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || message.includes(code) ? message : `${message} (${code})`;
}
