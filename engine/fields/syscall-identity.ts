import type { FieldDefinition } from "./field.ts";
import { callField } from "./syscall.ts";

/** Fields of the user a process acts as, and of the one who logged in. */
export const userFields: readonly FieldDefinition[] = [
  callField("user.uid", "UINT32", "Number of the effective user", ({ user }) => user.id),
  callField(
    "user.name",
    "CHARBUF",
    "Name of the effective user, where records are enriched or names were given",
    ({ user }) => user.name,
  ),
  callField(
    "user.loginuid",
    "INT64",
    "Number of the user who logged in; -1 for a process that no login began",
    ({ loginUser }) => loginUser.id ?? -1n,
  ),
  callField(
    "user.loginname",
    "CHARBUF",
    "Name of the user who logged in, where records are enriched or names were given",
    ({ loginUser }) => loginUser.name,
  ),
];

/** Fields of the group a process acts as. */
export const groupFields: readonly FieldDefinition[] = [
  callField("group.gid", "UINT32", "Number of the effective group", ({ group }) => group.id),
  callField(
    "group.name",
    "CHARBUF",
    "Name of the effective group, where records are enriched or names were given",
    ({ group }) => group.name,
  ),
];
