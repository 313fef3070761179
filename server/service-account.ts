import { createHash } from "node:crypto";

import { decodeProtectedHeader, errors, jwtVerify, type JWTPayload } from "jose";
import { issuerKeyObject, type IssuerKey } from "#trust";

import type { Applicant } from "./domain/enrollment.ts";
import { excerpt } from "./domain/ids.ts";
import { judgeServiceAccount, notTaken, type Bearer } from "./domain/issuer.ts";
import { accept, type Outcome } from "./domain/refusal.ts";
import type { Vouched } from "./store/issuer-admission.ts";
import type { Issuer } from "./store/issuers.ts";

/** Kubernetes' own are of 1 to 1.5 KiB. */
const tokenCharsMax = 8 * 1024;
const tokenPattern = /^([\w-]+\.[\w-]+)\.[\w-]+$/;
/** Clocks of clusters and servers are some seconds apart. */
const clockToleranceSeconds = 60;

/** What is known besides the token. */
export interface Expected {
  readonly applicant: Applicant;
  readonly audience: string;
  readonly now: Date;
}

/**
 * Checks a service-account token against the registered keys of the applicant's cluster: signature by the algorithm that
 * belongs to the key, issuer, audience, times, and that it is of an agent's pod. Fetches nothing. Until a signature was
 * found good, everything is refused in the same words, so that a stranger does not learn which clusters are here.
 */
export async function verifyServiceAccountToken(
  token: string,
  issuers: readonly Issuer[],
  expected: Expected,
): Promise<Outcome<Vouched & Bearer>> {
  if (token.length > tokenCharsMax) return notTaken(`is longer than ${tokenCharsMax} characters`);
  const signed = tokenPattern.exec(token)?.[1];
  const kid = signed === undefined ? undefined : keyIdOf(token);
  if (signed === undefined || kid === undefined) return notTaken("is no signed JWT with a key id");
  const candidates = issuers.flatMap((issuer) =>
    issuer.keys.filter((key) => key.kid === kid).map((key) => ({ issuer, key })),
  );
  for (const { issuer, key } of candidates) {
    const claims = await verified(token, issuer, key, expected);
    if (claims === undefined) continue;
    if (!claims.ok) return claims;
    const { audience, applicant } = expected;
    const judged = judgeServiceAccount(claims.value, { subject: issuer.subject, audience }, applicant);
    if (!judged.ok) return judged;
    const expiresAt = new Date(judged.value.expiresAtMs + clockToleranceSeconds * 1000);
    const tokenHash = createHash("sha256").update(signed).digest();
    return accept({ ...judged.value, issuerId: issuer.id, tokenHash, expiresAt });
  }
  const { clusterName } = expected.applicant;
  return notTaken(
    `is not signed by a key of "${excerpt(clusterName)}" that is registered here (its key is ${excerpt(kid)}): fleetctl cluster trust-issuer ${excerpt(clusterName)}`,
  );
}

/** The claims, or why they are not taken; undefined when the key did not sign this. */
async function verified(
  token: string,
  { issuer }: Issuer,
  key: IssuerKey,
  { audience, now }: Expected,
): Promise<Outcome<JWTPayload> | undefined> {
  try {
    const { payload } = await jwtVerify(token, issuerKeyObject(key), {
      algorithms: [key.alg],
      issuer,
      audience,
      clockTolerance: clockToleranceSeconds,
      currentDate: now,
      requiredClaims: ["sub", "exp", "iat"],
    });
    return accept(payload);
  } catch (error) {
    if (error instanceof errors.JWTExpired) {
      return notTaken("expired: the kubelet renews it, and so does a new pod");
    }
    if (error instanceof errors.JWTClaimValidationFailed) {
      return notTaken(wordsOf(error, { issuer, audience }));
    }
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

function wordsOf(
  { claim, message }: errors.JWTClaimValidationFailed,
  { issuer, audience }: { readonly issuer: string; readonly audience: string },
): string {
  if (claim === "aud") return `is not for the audience "${audience}"`;
  if (claim === "iss") return `is not of the registered issuer "${issuer}"`;
  return `cannot be taken: ${message}`;
}

function keyIdOf(token: string): string | undefined {
  try {
    const { kid } = decodeProtectedHeader(token);
    return typeof kid === "string" && kid.length <= 256 ? kid : undefined;
  } catch {
    // It is no JWT, which is all that there is to say.
    return undefined;
  }
}
