/** A cluster of the local fleet. */
export interface LocalCluster {
  readonly name: string;
  readonly region: string;
  readonly labels: Readonly<Record<string, string>>;
}

const clustersMax = 50;
const defaults = ["eu=3", "us=2", "tr=1"];
const teams = ["payments", "search", "storefront"];

/**
 * Reads `NAME=COUNT` flags into clusters named `NAME-1`, `NAME-2`, ...; none means eu=3, us=2, tr=1. Refuses with a
 * sentence what cannot be read, and more than fifty clusters: they all run on this machine.
 */
export function parseRegions(
  flags: readonly string[],
): { clusters: readonly LocalCluster[] } | { problem: string } {
  const counts = new Map<string, number>();
  for (const flag of flags.length === 0 ? defaults : flags) {
    const match = /^([a-z][a-z0-9-]{0,30}[a-z0-9])=(\d{1,3})$/.exec(flag);
    const [, region = "", count = ""] = match ?? [];
    if (match === null) {
      return { problem: `--region ${flag} cannot be read: write NAME=COUNT, for example --region eu=3` };
    }
    if (counts.has(region)) return { problem: `--region ${region} is given twice: give each region once` };
    counts.set(region, Number(count));
  }
  const clusters = [...counts].flatMap(([region, count]) =>
    Array.from({ length: count }, (_, i) => localCluster(region, i)),
  );
  if (clusters.length === 0) {
    return { problem: "The regions hold no cluster: give at least one, for example --region eu=3" };
  }
  if (clusters.length > clustersMax) {
    return {
      problem: `${clusters.length} clusters are too many for one machine: at most ${clustersMax}, each is a real agent process`,
    };
  }
  return { clusters };
}

function localCluster(region: string, index: number): LocalCluster {
  const team = teams[index % teams.length] ?? "platform";
  const environment = index === 0 ? "test" : "production";
  return { name: `${region}-${index + 1}`, region, labels: { region, team, environment } };
}
