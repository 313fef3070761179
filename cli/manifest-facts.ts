import type { CommandFacts } from "./catalogue.ts";

/** What all commands say of themselves, by ids, where there is a manifest: apart from it, because only help and completion read so much. */
export const facts: Readonly<Record<string, CommandFacts>> = {};
