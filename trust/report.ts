import { createPrivateKey, sign, verify, X509Certificate as Certificate, type KeyObject } from "node:crypto";

import { accept, reasonOf, refuse, type Checked } from "./checked.ts";
import { preAuthEncoding } from "./envelope.ts";

export const reportType = "application/vnd.falconry.state-report";

const signatureLength = 64;

/** Signs a report with the agent's P-256 key, in PEM or read already: 64 bytes, IEEE P1363. */
export function signReport(privateKey: string | KeyObject, report: Uint8Array): Uint8Array {
  const key = typeof privateKey === "string" ? createPrivateKey(privateKey) : privateKey;
  return sign("sha256", preAuthEncoding(reportType, report), { key, dsaEncoding: "ieee-p1363" });
}

/** Accepts a report that the key of the session's client certificate (DER) signed. */
export function verifyReport(
  certificate: Uint8Array,
  report: Uint8Array,
  signature: Uint8Array,
): Checked<Uint8Array> {
  if (signature.length !== signatureLength) {
    return refuse(
      "trust/bad-signature",
      `report signature has ${signature.length} bytes; expected ${signatureLength}`,
    );
  }
  try {
    const key = new Certificate(certificate).publicKey;
    const data = preAuthEncoding(reportType, report);
    if (verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, signature)) return accept(report);
  } catch (error) {
    return refuse("trust/malformed", `report cannot be verified: ${reasonOf(error)}`);
  }
  return refuse(
    "trust/bad-signature",
    "report is not signed by the key of the session's certificate: the agent has to report again over its own connection",
  );
}
