/** Says what failed, where, and what to do next. The message is meant to be shown to a person as it is. */
export class PostgresError extends Error {
  override readonly name = "PostgresError";
}

const diagnoses: readonly (readonly [RegExp, string])[] = [
  [/No space left on device|disk quota exceeded/i, "The disk is full: free some space, then start again"],
  [/Too many open files/i, "The limit of open files is reached: raise it (ulimit -n 4096), then start again"],
  [
    /could not look up effective user ID/i,
    "The user id has no entry in /etc/passwd, which Postgres needs: add one, then start again",
  ],
  [
    /error while loading shared libraries/i,
    "Its libraries are not linked: run `npm rebuild` (without --ignore-scripts), then start again",
  ],
  [
    /could not (resize|map|create).*shared memory|Cannot allocate memory/i,
    "The machine gives it too little memory: free some, or enlarge /dev/shm, then start again",
  ],
  [
    /Address already in use|could not bind|could not create any (Unix-domain|TCP\/IP) socket/i,
    "Its socket cannot be opened: stop the other Postgres that uses it, then start again",
  ],
  [
    /Permission denied|Operation not permitted/i,
    "A file or folder of it may not be used: check owner and mode of the folder named here, then start again",
  ],
  [
    /could not (locate|read) a valid checkpoint|invalid (primary )?checkpoint record/i,
    "Its files are damaged: restore a backup, or remove the folder to begin with an empty database",
  ],
];

/** Turns what Postgres wrote before it gave up into an error that names the place and the next step. */
export function explain(what: string, where: string, output: string): PostgresError {
  const [, advice] = diagnoses.find(([pattern]) => pattern.test(output)) ?? [
    undefined,
    "The lines above say why: correct it, then start again",
  ];
  const lines = output.trim().split("\n").slice(-8).join("\n  ");
  return new PostgresError(`${what} in ${where}:\n  ${lines || "(no output)"}\n${advice}`);
}
