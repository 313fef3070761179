/** An absolute path without `.`, `..` and empty parts; undefined when a relative path has no known base. */
export function resolvePath(base: string | undefined, path: string): string | undefined {
  if (path === "") return base;
  if (!path.startsWith("/") && base === undefined) return undefined;
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${base ?? ""}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** The directory a path lies in; `/` for a path at the top. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

/** The last part of a path. */
export function fileNameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
