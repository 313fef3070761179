import { generateKeyPairSync, randomUUID, sign, type KeyObject } from "node:crypto";

/** Whom a token is about, as TokenRequest and the API know it. */
export interface TokenSubject {
  readonly namespace: string;
  readonly account: string;
  readonly pod?: { readonly name: string; readonly uid: string };
  readonly node?: { readonly name: string; readonly uid: string };
}

/** What kube-apiserver signs service-account tokens with. */
export interface TestIssuer {
  readonly url: string;
  /** What `/openid/v1/jwks` says. */
  readonly jwks: string;
  /** A token as TokenRequest makes it; `change` replaces claims, for attacks. */
  token(
    subject: TokenSubject,
    wish: { readonly audiences: readonly string[]; readonly seconds: number },
    change?: Readonly<Record<string, unknown>>,
  ): string;
  /** Signs claims under a header that says what it likes. */
  sign(claims: object, header?: Readonly<Record<string, unknown>>, key?: KeyObject): string;
  readonly publicKey: KeyObject;
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** An issuer with a key of its own: ES256, which is fast to make. */
export function createIssuer(url = "https://kubernetes.default.svc.cluster.local"): TestIssuer {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const kid = randomUUID();
  const jwk = { use: "sig", alg: "ES256", kid, ...publicKey.export({ format: "jwk" }) };
  const signed: TestIssuer["sign"] = (claims, header = {}, key = privateKey) => {
    const input = `${encode({ alg: "ES256", kid, ...header })}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
    return `${input}.${signature.toString("base64url")}`;
  };
  return {
    url,
    jwks: JSON.stringify({ keys: [jwk] }),
    publicKey,
    sign: signed,
    token({ namespace, account, pod, node }, { audiences, seconds }, change = {}) {
      const iat = Math.floor(Date.now() / 1000);
      return signed({
        aud: audiences,
        exp: iat + seconds,
        iat,
        iss: url,
        jti: randomUUID(),
        "kubernetes.io": {
          namespace,
          ...(node === undefined ? {} : { node }),
          ...(pod === undefined ? {} : { pod }),
          serviceaccount: { name: account, uid: "5a5a5a5a-0000-4000-8000-000000000000" },
        },
        nbf: iat,
        sub: `system:serviceaccount:${namespace}:${account}`,
        ...change,
      });
    },
  };
}
