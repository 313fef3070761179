type Body = (context: object) => unknown;

/** Stands for `node:test` where mutants are judged: keeps the test for the worker, which runs it when it wants to. */
export function test(name: string, ...rest: readonly unknown[]): void {
  const run = rest.at(-1) as Body;
  (globalThis as unknown as { collectTest(test: object): void }).collectTest({ name, run });
}
