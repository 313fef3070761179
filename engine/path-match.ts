import { compileGlob } from "./glob.ts";

const parts = (path: string): readonly string[] => path.split("/").filter((part) => part !== "");

/**
 * Whether a path lies at or below one of the given paths. Paths are compared part by part, so `/etc` does not
 * match `/etcd`; a part with `?`, `*` or `[` is a shell pattern for that one part.
 */
export function compilePathMatch(paths: readonly string[]): (path: string) => boolean {
  const wanted = paths.map((path) =>
    parts(path).map((part) =>
      /[?*[]/.test(part) ? compileGlob(part, false) : (given: string) => given === part,
    ),
  );
  return (path) => {
    const given = parts(path);
    return wanted.some(
      (tests) => tests.length <= given.length && tests.every((test, i) => test(given[i] ?? "")),
    );
  };
}
