import type { Person } from "../../domain/people/approval.ts";
import { findApiToken } from "../../store/api-tokens.ts";
import type { Db } from "../../store/pool.ts";
import type { Operator } from "../caller.ts";

/** Who calls, as an approval knows people: by the identity that logged in, or by the token of whoever did not. */
export async function personOf(db: Db, { tokenId, name, login }: Operator): Promise<Person> {
  if (login !== undefined) return { person: `login ${login.issuer} ${login.subject}`, tokenId, name };
  const madeBy = (await findApiToken(db, tokenId))?.createdBy;
  return { person: `token ${tokenId}`, tokenId, name, ...(madeBy === undefined ? {} : { madeBy }) };
}
