/** The commands and their summaries, by ids. A bundle carries them (tools/bundle); as sources the commands are asked. */
export const manifest: Readonly<Record<string, string>> | undefined = undefined as
  | Readonly<Record<string, string>>
  | undefined;
