import { readClassic } from "./classic.ts";
import { resolveInclude } from "./includes.ts";
import { problemAt } from "./problem.ts";
import type { Problem } from "./problem.ts";
import { limits } from "./section.ts";
import type { ConfigFile, Section, Sections } from "./section.ts";
import { readYaml } from "./yaml.ts";

interface ReadFile extends Sections {
  readonly name: string;
  /** Of each include, the files that it names, by their place in the bundle. */
  readonly included: readonly (readonly number[])[];
}

/**
 * The sections of all files of a bundle, in the order in which they apply: the files in theirs, each included one where it
 * is included first. Every file is read once.
 */
export function readFiles(files: readonly ConfigFile[]): Sections {
  const [first] = files;
  const at = { file: first?.name ?? "(bundle)", line: 1, column: 1 };
  const nothing = { sections: [], includes: [] };
  if (first === undefined) {
    return { ...nothing, problems: [problemAt(at, "The bundle holds no config file")] };
  }
  if (files.length > limits.files) {
    return { ...nothing, problems: [problemAt(at, `${files.length} files are more than ${limits.files}`)] };
  }
  const names = files.map(({ name }) => name);
  const problems: Problem[] = [];
  const all = files.map((file) => resolved(file.name, readFile(file), names, problems));
  const sections = inOrder(all, problems);
  const long = sections.find((section) => section.entries.length > limits.entriesPerSection);
  if (long !== undefined) problems.push(problemAt(long, `More than ${limits.entriesPerSection} options`));
  if (sections.length > limits.sections) {
    problems.push(problemAt(at, `More than ${limits.sections} sections`));
  }
  if (sections.reduce((sum, { entries }) => sum + entries.length, 0) > limits.entries) {
    problems.push(problemAt(at, `More than ${limits.entries} options in all`));
  }
  return problems.length > 0 ? { ...nothing, problems } : { sections, includes: [], problems };
}

function readFile(source: ConfigFile): Sections {
  if (source.content.length > limits.fileBytes) {
    const message = `The file is longer than ${limits.fileBytes} characters`;
    const problem = { file: source.name, line: 1, column: 1, message };
    return { sections: [], includes: [], problems: [problem] };
  }
  const content = source.content.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const isYaml =
    /\.ya?ml$/i.test(source.name) || (!/\.conf$/i.test(source.name) && !/^\s*[[@]/m.test(content));
  return isYaml ? readYaml({ ...source, content }) : readClassic({ ...source, content });
}

function resolved(name: string, read: Sections, names: readonly string[], problems: Problem[]): ReadFile {
  problems.push(...read.problems);
  const excess = read.includes[limits.files];
  if (excess !== undefined) problems.push(problemAt(excess, `More than ${limits.files} includes`));
  const included = read.includes.slice(0, limits.files).map((include) => {
    const found = resolveInclude(include.path, name, names);
    if (found.ok) return found.files;
    problems.push(problemAt(include, found.why));
    return [];
  });
  return { ...read, name, included };
}

/** Files that nobody includes first, each with what it includes; what is left then includes itself in a circle. */
function inOrder(files: readonly ReadFile[], problems: Problem[]): readonly Section[] {
  const sections: Section[] = [];
  const done = new Set<number>();
  const open: number[] = [];
  const add = (index: number): void => {
    const file = files[index];
    if (file === undefined || done.has(index)) return;
    done.add(index);
    open.push(index);
    let from = 0;
    for (const [at, targets] of file.included.entries()) {
      const include = file.includes[at];
      sections.push(...file.sections.slice(from, include?.before));
      from = include?.before ?? from;
      for (const target of targets) {
        if (include === undefined || !open.includes(target)) add(target);
        else {
          const circle = [...open.slice(open.indexOf(target)), target].map((one) => files[one]?.name ?? "");
          problems.push(problemAt(include, `Files include one another in a circle: ${circle.join(" > ")}`));
        }
      }
    }
    sections.push(...file.sections.slice(from));
    open.pop();
  };
  const included = new Set(files.flatMap((file) => file.included.flat()));
  for (const index of files.keys()) if (!included.has(index)) add(index);
  for (const index of files.keys()) add(index);
  return sections;
}
