import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A fenced block of a page. */
export interface Block {
  /** Empty for what is shown as output. */
  readonly language: string;
  readonly text: string;
}

/** A page of docs/, by name. */
export function readPage(name: string): string {
  return readFileSync(join(import.meta.dirname, "..", "..", "docs", name), "utf8");
}

export function blocksOf(page: string): readonly Block[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({
    language,
    text,
  }));
}

export function yamlOf(page: string): readonly string[] {
  return blocksOf(page).flatMap(({ language, text }) => (language === "yaml" ? [text] : []));
}

/** The lines of a block of commands that call fleetctl. */
export function commandsOf({ language, text }: Block): readonly string[] {
  return language === "sh" ? text.split("\n").filter((line) => line.startsWith("fleetctl ")) : [];
}

/** The words of a command line, without comments and what is said to the shell. */
export function wordsOf(line: string): readonly string[] {
  const [command = ""] = line.split(/\s+(?:#|>|\|)\s/);
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? "",
  );
}
