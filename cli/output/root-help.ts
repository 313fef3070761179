/** A name and what help says about it. */
export type HelpLine = readonly [name: string, summary: string];

/** What `fleetctl --help` tells. */
export interface RootHelp {
  readonly description: string;
  /** As in "falconry/1.0.0 linux-x64 node-v24.0.0". */
  readonly version: string;
  readonly topics: readonly HelpLine[];
  readonly commands: readonly HelpLine[];
}

/** The first help that anybody sees: nouns, and commands without one. It is asked for often, and takes no library. */
export function renderRootHelp({ description, version, topics, commands }: RootHelp, width: number): string {
  const parts = [
    wrapped(description, width),
    `VERSION\n${wrapped(version, width - 2, "  ")}`,
    "USAGE\n  $ fleetctl [COMMAND]",
    `TOPICS\n${listed(topics, width)}`,
    `COMMANDS\n${listed(commands, width)}`,
  ];
  return `${parts.join("\n\n")}\n`;
}

/** Names in one column, and summaries beside them, which go on below themselves. */
function listed(lines: readonly HelpLine[], width: number): string {
  const column = Math.max(0, ...lines.map(([name]) => name.length)) + 4;
  return lines
    .map(([name, summary]) => {
      const text = wrapped(summary, Math.max(20, width - column), " ".repeat(column));
      return `  ${name}`.padEnd(column) + text.slice(column);
    })
    .join("\n");
}

function wrapped(text: string, width: number, indent: string = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length > width && line !== "") {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line].map((each) => indent + each).join("\n");
}
