import { createPrivateKey, X509Certificate as Certificate, type KeyObject } from "node:crypto";

import { accept, reasonOf, refuse, type Checked } from "./checked.ts";
import { preAuthEncoding } from "./envelope.ts";
import { isSignedByP256, p256SignatureLength, signP256 } from "./p256.ts";

export const reportType = "application/vnd.falconry.state-report";

/** Signs a report with the agent's P-256 key, in PEM or read already: 64 bytes, IEEE P1363. */
export function signReport(privateKey: string | KeyObject, report: Uint8Array): Uint8Array {
  const key = typeof privateKey === "string" ? createPrivateKey(privateKey) : privateKey;
  return signP256(key, preAuthEncoding(reportType, report));
}

/** Whether the P-256 key of an agent signed the report. Throws for a key of another type. */
export function isReportSigned(key: KeyObject, report: Uint8Array, signature: Uint8Array): boolean {
  return isSignedByP256(key, preAuthEncoding(reportType, report), signature);
}

/** Accepts a report that the key of the session's client certificate (DER) signed. */
export function verifyReport(
  certificate: Uint8Array,
  report: Uint8Array,
  signature: Uint8Array,
): Checked<Uint8Array> {
  if (signature.length !== p256SignatureLength) {
    return refuse(
      "trust/bad-signature",
      `report signature has ${signature.length} bytes; expected ${p256SignatureLength}`,
    );
  }
  try {
    const key = new Certificate(certificate).publicKey;
    if (isReportSigned(key, report, signature)) return accept(report);
  } catch (error) {
    return refuse("trust/malformed", `report cannot be verified: ${reasonOf(error)}`);
  }
  return refuse(
    "trust/bad-signature",
    "report is not signed by the key of the session's certificate: the agent has to report again over its own connection",
  );
}
