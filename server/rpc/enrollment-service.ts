import { X509Certificate } from "node:crypto";

import type { ServiceImpl } from "@connectrpc/connect";
import type { EnrollmentService, EnrollRequest } from "#proto/agent/v1/enrollment";
import { issueAgentCertificate, readCsr, rootPin, type AgentIdentity } from "#trust";

import type { CaSet } from "../ca-keeper.ts";
import type { AuditActor } from "../domain/audit-words.ts";
import { parseApplicant, type Applicant } from "../domain/enrollment.ts";
import { excerpt } from "../domain/ids.ts";
import { audienceOf } from "../domain/issuer.ts";
import type { Permission } from "../domain/permission.ts";
import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import { parseCredential } from "../domain/secret.ts";
import { newId } from "../secrets.ts";
import { verifyServiceAccountToken } from "../service-account.ts";
import type { Admit } from "../store/admission.ts";
import { enroll, type Certified } from "../store/enrollments.ts";
import { byIssuer } from "../store/issuer-admission.ts";
import { findIssuersOf } from "../store/issuers.ts";
import { listRootsAfter, type MetadataRow } from "../store/metadata.ts";
import type { Database } from "../store/pool.ts";
import { byJoinToken } from "../store/token-admission.ts";
import { addressKey } from "./address.ts";
import type { Audit } from "./audit.ts";
import { agentOf } from "./caller.ts";
import { fromTrust } from "../trust-refusal.ts";
import { toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const enrollmentPermissions = {
  enroll: "public",
  renewCertificate: "agent",
} satisfies Record<keyof (typeof EnrollmentService)["method"], Permission>;

export interface EnrollmentServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  readonly cas: () => Pick<CaSet, "issuer" | "trusted">;
  readonly agentCertificateMs: number;
  readonly now: () => Date;
}

/** One for each team that has registered it; more are of no use to anybody good. */
const issuersMax = 16;

interface Issued extends Certified {
  /** The certificate and that of its CA. */
  readonly chain: readonly Uint8Array[];
}

export function enrollmentService(options: EnrollmentServiceOptions): ServiceImpl<typeof EnrollmentService> {
  const { db, org, audit, now } = options;
  return {
    async enroll(request, context) {
      const applicant = orRefuse(parseApplicant(request));
      const { admit, actor, bearer } = orRefuse(await admissionOf(options, request, applicant));
      const csr = await readCsr(request.csr);
      if (!csr.ok) return orRefuse(refuse(fromTrust("csr", csr.refusal)));
      const root = orRefuse(chooseRoot(await listRootsAfter(db, 0n), request.rootPin));
      const keyHash = Buffer.from(csr.value.pin.slice("sha256:".length), "hex");
      const address = context.values.get(addressKey);
      const fresh = { clusterId: newId("cluster"), agentId: newId("agent") };
      const enrolled = orRefuse(
        await enroll(
          db,
          { applicant, address, keyHash, fresh, now: now(), ...(bearer === undefined ? {} : { bearer }) },
          admit,
          ({ clusterId, agentId }) => issue(options, request.csr, { org, clusterId, agentId }),
          audit.noteOf(actor, "EnrollmentService/Enroll"),
        ),
      );
      const { clusterId, agentId, labels, certified } = enrolled;
      return {
        org,
        clusterId,
        agentId,
        certificateChain: [...certified.chain],
        // While the CA is being replaced both, so that a newcomer is never left behind.
        caCertificates: [...options.cas().trusted],
        root,
        expiresAt: toTimestamp(certified.expiresAt),
        labels: { ...labels },
      };
    },
    async renewCertificate(request, context) {
      const { clusterId, agentId } = agentOf(context);
      const issued = orRefuse(await issue(options, request.csr, { org, clusterId, agentId }));
      // Nothing is stored: the new certificate becomes the agent's when the agent first comes in with it, so an answer
      // that is lost leaves the old one good.
      return {
        certificateChain: [...issued.chain],
        expiresAt: toTimestamp(issued.expiresAt),
      };
    },
  };
}

interface Admitting {
  readonly admit: Admit;
  readonly actor: AuditActor;
  /** For the audit log. */
  readonly bearer?: { readonly pod: string; readonly node: string };
}

/** By what an applicant wants to be let in: a join token or, when there is none, the word of its cluster. */
async function admissionOf(
  { db, org, now }: EnrollmentServiceOptions,
  { token, serviceAccountToken }: EnrollRequest,
  applicant: Applicant,
): Promise<Outcome<Admitting>> {
  if (serviceAccountToken === "") {
    const credential = parseCredential("jt", token);
    if (credential === undefined) {
      const why = "The token is no join token: TOKENID.SECRET, the part of the join string before the @";
      return refuse({ kind: "unauthenticated", why });
    }
    const actor: AuditActor = { kind: "join-token", id: credential.id, name: "", role: "" };
    return accept({ admit: byJoinToken(credential), actor });
  }
  if (token !== "") return invalid("service_account_token", "comes with a join token: send one of them");
  const issuers = await findIssuersOf(db, applicant.clusterName, issuersMax);
  const expected = { applicant, audience: audienceOf(org), now: now() };
  const vouched = await verifyServiceAccountToken(serviceAccountToken, issuers, expected);
  if (!vouched.ok) return vouched;
  const { issuerId, pod, node = "" } = vouched.value;
  const actor: AuditActor = { kind: "issuer", id: issuerId, name: "", role: "" };
  return accept({ admit: byIssuer(vouched.value), actor, bearer: { pod, node } });
}

async function issue(
  { cas, agentCertificateMs, now }: EnrollmentServiceOptions,
  csr: Uint8Array,
  identity: AgentIdentity,
): Promise<Outcome<Issued>> {
  if (csr.length === 0) return invalid("csr", "is empty: send a certificate request, PKCS #10 in DER");
  const { issuer } = cas();
  const issued = await issueAgentCertificate({
    ca: issuer,
    csr,
    identity,
    now: now(),
    lifetimeMs: agentCertificateMs,
  });
  if (!issued.ok) {
    return refuse({ kind: "invalid", problems: [{ field: "csr", why: issued.refusal.message }] });
  }
  const parsed = new X509Certificate(issued.value);
  return accept({
    chain: [issued.value, issuer.certificate],
    ca: issuer.pin,
    publicKey: parsed.publicKey.export({ type: "spki", format: "der" }),
    serial: parsed.serialNumber.toLowerCase(),
    expiresAt: new Date(parsed.validToDate),
  });
}

/** The root that the join string pins: perhaps an older one, whose successors reach the agent as a chain. */
function chooseRoot(rows: readonly MetadataRow[], pin: string): Outcome<Uint8Array> {
  const roots = rows.map((row) => row.body);
  const newest = roots.at(-1);
  if (newest === undefined) {
    const why = "No trust root has been published yet: run fleetctl trust init, then enrol again";
    return refuse({ kind: "precondition", why });
  }
  const pinned = pin === "" ? newest : roots.find((root) => rootPin(root) === pin);
  if (pinned !== undefined) return accept(pinned);
  const why = `The join string pins the trust root ${excerpt(pin)}, which this fleet never had; its root is ${rootPin(newest)}`;
  return refuse({ kind: "precondition", why: `${why}. Get a join string from the fleet you mean to join` });
}
