import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";

/** The server's side of SCRAM, written from RFC 5802 and RFC 7677 and none of our code. */
export class ScramServer {
  readonly #hash: "sha256" | "sha512";
  readonly #user: string;
  readonly #password: string;
  readonly #salt = randomBytes(16);
  #first: { readonly bare: string; readonly answer: string; readonly nonce: string } | undefined;

  constructor(hash: "sha256" | "sha512", user: string, password: string) {
    this.#hash = hash;
    this.#user = user;
    this.#password = password;
  }

  /** Answers a message of the client; `isProved` when it showed that it knows the password. Undefined when it did not. */
  answer(message: string): { readonly text: string; readonly isProved: boolean } | undefined {
    if (this.#first === undefined) return this.#begin(message);
    return this.#finish(message, this.#first);
  }

  #begin(message: string): { readonly text: string; readonly isProved: boolean } | undefined {
    const [, bare = "", user, clientNonce] = /^n,,(n=([^,]*),r=([!-+\--~]+))/.exec(message) ?? [];
    if (user !== this.#user || clientNonce === undefined) return undefined;
    const nonce = clientNonce + randomBytes(12).toString("base64");
    const answer = `r=${nonce},s=${this.#salt.toString("base64")},i=4096`;
    this.#first = { bare, answer, nonce };
    return { text: answer, isProved: false };
  }

  #finish(
    message: string,
    { bare, answer, nonce }: { readonly bare: string; readonly answer: string; readonly nonce: string },
  ): { readonly text: string; readonly isProved: boolean } | undefined {
    const [, withoutProof = "", binding, said, proof = ""] =
      /^(c=([^,]*),r=([^,]*)),p=([A-Za-z0-9+/=]+)$/.exec(message) ?? [];
    // "biws" is "n,," in base64: the client binds to no channel.
    if (binding !== "biws" || said !== nonce) return undefined;
    const size = this.#hash === "sha256" ? 32 : 64;
    const hmac = (key: Buffer, text: string) => createHmac(this.#hash, key).update(text).digest();
    const salted = pbkdf2Sync(this.#password, this.#salt, 4096, size, this.#hash);
    const stored = createHash(this.#hash).update(hmac(salted, "Client Key")).digest();
    const all = `${bare},${answer},${withoutProof}`;
    const signature = hmac(stored, all);
    const given = Buffer.from(proof, "base64");
    if (given.length !== size) return undefined;
    const key = given.map((byte, at) => byte ^ (signature[at] ?? 0));
    if (!timingSafeEqual(createHash(this.#hash).update(key).digest(), stored)) return undefined;
    return { text: `v=${hmac(hmac(salted, "Server Key"), all).toString("base64")}`, isProved: true };
  }
}
