import { compileMatchers, parseMatchers, type AlertFacts } from "../alert-matcher.ts";
import type { Route } from "./route.ts";

/** Which routes take an alert or a state, in their order. */
export type Router = (facts: AlertFacts) => readonly Route[];

/** Asks routes in order, until one takes it that does not let it go on. A route that cannot be read takes nothing. */
export function createRouter(routes: readonly Route[]): Router {
  const compiled = routes.flatMap((route) => {
    const matchers = parseMatchers("matchers", route.matchers);
    return matchers.ok ? [{ route, takes: compileMatchers(matchers.value) }] : [];
  });
  return (facts) => {
    const taken: Route[] = [];
    for (const { route, takes } of compiled) {
      if (!takes(facts)) continue;
      taken.push(route);
      if (!route.goesOn) break;
    }
    return taken;
  };
}
