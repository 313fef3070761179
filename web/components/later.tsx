import { lazy, type ComponentType, type LazyExoticComponent } from "react";

/** A part of the console could not be read: the server is away, or hands out a newer console without this file. */
export class UnreadPart extends Error {
  constructor(cause: unknown) {
    super("The console was renewed or could not be read", { cause });
  }
}

/** A component whose file comes when somebody looks at it. */
export function later<P extends object>(
  read: () => Promise<ComponentType<P>>,
): LazyExoticComponent<ComponentType<P>> {
  return lazy(async () => {
    try {
      return { default: await read() };
    } catch (cause) {
      throw new UnreadPart(cause);
    }
  });
}
