import { API } from "typescript/unstable/sync";
import { SyntaxKind, type Node, type SourceFile } from "typescript/unstable/ast";
import {
  isBinaryExpression,
  isCallExpression,
  isConditionalExpression,
  isExpressionStatement,
  isFunctionDeclaration,
  isIfStatement,
  isPropertyAccessExpression,
} from "typescript/unstable/ast/is";

/** One change to one place of a file: the check that stands there is removed, inverted or weakened. */
export interface Mutant {
  readonly file: string;
  readonly line: number;
  readonly start: number;
  readonly end: number;
  /** The text that is there, and what stands in its place. */
  readonly from: string;
  readonly to: string;
  /** The function it stands in; with `from` and `to` it names the mutant, whatever moves around it. */
  readonly inside: string;
}

/** Every mutant of the files, in the order of their text. Functions in `skip` are left as they are. */
export function mutantsOf(
  root: string,
  files: readonly string[],
  skip: readonly string[],
): readonly Mutant[] {
  const api = new API({ cwd: root });
  try {
    const snapshot = api.updateSnapshot({ openProjects: [`${root}/tsconfig.json`] });
    const [project] = snapshot.getProjects();
    return files.flatMap((file) => {
      const source = project?.program.getSourceFile(`${root}/${file}`);
      if (source === undefined) throw new Error(`${file} is not part of the project`);
      return inFile(source, file, skip);
    });
  } finally {
    api.close();
  }
}

function inFile(source: SourceFile, file: string, skip: readonly string[]): readonly Mutant[] {
  const found: Mutant[] = [];
  const visit = (node: Node, inside: string): void => {
    const name = isFunctionDeclaration(node) ? (node.name?.text ?? inside) : inside;
    if (skip.includes(name)) return;
    for (const [place, to] of changes(node)) {
      const start = place.getStart(source);
      const from = source.text.slice(start, place.end);
      const line = source.text.slice(0, start).split("\n").length;
      found.push({ file, line, start, end: place.end, from, to: to(from), inside: name });
    }
    node.forEachChild((child) => visit(child, name));
  };
  visit(source, "");
  // A condition that is one operand of another is reached twice.
  return [...new Map(found.map((mutant) => [`${mutant.start} ${mutant.end} ${mutant.to}`, mutant])).values()];
}

type Change = readonly [Node, (text: string) => string];

const looser: Readonly<Partial<Record<SyntaxKind, string>>> = {
  [SyntaxKind.LessThanToken]: "<=",
  [SyntaxKind.LessThanEqualsToken]: "<",
  [SyntaxKind.GreaterThanToken]: ">=",
  [SyntaxKind.GreaterThanEqualsToken]: ">",
};
const logical: readonly SyntaxKind[] = [SyntaxKind.AmpersandAmpersandToken, SyntaxKind.BarBarToken];
const quantifiers: ReadonlyMap<string, string> = new Map([
  ["every", "some"],
  ["some", "every"],
]);

function changes(node: Node): readonly Change[] {
  // What is done for its effect: binds data to a key, adds to a set, writes, syncs.
  if (isExpressionStatement(node)) return [[node, () => ";"]];
  if (isIfStatement(node)) return [[node.expression, () => "false"], ...inverted(node.expression)];
  if (isConditionalExpression(node)) {
    return [
      [node.condition, () => "false"],
      [node.condition, () => "true"],
    ];
  }
  if (isBinaryExpression(node)) {
    const { operatorToken, left, right } = node;
    const wider = looser[operatorToken.kind];
    if (wider !== undefined) return [[operatorToken, () => wider]];
    if (!logical.includes(operatorToken.kind)) return [];
    // An operand is removed by putting in what leaves the decision to the other one.
    const neutral = operatorToken.kind === SyntaxKind.BarBarToken ? "false" : "true";
    return [
      [left, () => neutral],
      [right, () => neutral],
    ];
  }
  if (isCallExpression(node) && isPropertyAccessExpression(node.expression)) {
    const other = quantifiers.get(node.expression.name.text);
    return other === undefined ? [] : [[node.expression.name, () => other]];
  }
  return [];
}

function inverted(condition: Node): readonly Change[] {
  return [[condition, (text) => `!(${text})`]];
}
