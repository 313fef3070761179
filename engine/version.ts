/** The Falco engine version whose language this engine speaks; `required_engine_version` is checked against it. */
export const engineVersion = "0.62.0";

/**
 * Plugins whose fields and source are built in, by the version they are compatible with. Of `container` the fields are known
 * by name alone, so that Falco's own rules load: rules that can not match without them are left out one by one.
 */
export const builtInPlugins: ReadonlyMap<string, string> = new Map([
  ["k8saudit", "0.18.0"],
  ["json", "0.7.4"],
  ["container", "0.6.1"],
]);
