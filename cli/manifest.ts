import type { CommandFacts } from "./catalogue.ts";

/** What all commands say of themselves. A bundle carries it (tools/bundle); the sources ask the commands. */
export const manifest: Readonly<Record<string, CommandFacts>> | undefined = undefined as
  | Readonly<Record<string, CommandFacts>>
  | undefined;
