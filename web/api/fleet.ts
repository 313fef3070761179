import { createClient, type ConnectError } from "@connectrpc/connect";
import { useQuery as useSummary } from "@connectrpc/connect-query";
import { keepPreviousData, useQuery, type UseQueryResult } from "@tanstack/react-query";
import {
  ClusterService,
  type Cluster,
  type GetFleetSummaryResponse,
  type RegionSummary,
} from "#proto/fleet/v1/cluster";
import { totalOf } from "../view/fleet.ts";
import type { Filter } from "../view/selector.ts";
import { queryClient } from "./query-client.ts";
import { transport } from "./transport.ts";

const clusters = createClient(ClusterService, transport);
/** What fills a window comes first. */
const firstPageSize = 100;
const pageSize = 1_000;
const pagesMax = 101;
/** Each picture of what was read sorts and draws it. */
const pictureMs = 1_000;

/** The clusters that match, as far as they have been read. */
export interface Fleet {
  readonly clusters: readonly Cluster[];
  readonly total: number;
  readonly isWhole: boolean;
}

/** A large fleet is asked for less often: each look reads all of it. */
export function everyMs(total: number): number {
  return total <= 500 ? 5_000 : total <= 2_500 ? 15_000 : 60_000;
}

/** Clusters of a region that its map shows, the worst first. */
export const cellsMax = 160;
/** Minutes of the fleet's lines. */
export const lineMinutes = 60;

/** The fleet by region, counted where it is stored: as quick for ten thousand clusters as for ten to look at. */
export function useFleetSummary(): UseQueryResult<GetFleetSummaryResponse, ConnectError> {
  return useSummary(
    ClusterService.method.getFleetSummary,
    { worst: cellsMax },
    { refetchInterval: ({ state }) => everyMs(totalOf(state.data?.regions ?? [])) },
  );
}

/** The last hour of each region. A line moves when a minute is over. */
export function useRegionMinutes(): readonly RegionSummary[] {
  const { data } = useSummary(
    ClusterService.method.getFleetSummary,
    { minutes: lineMinutes, onlyMinutes: true },
    { refetchInterval: 60_000 },
  );
  return data?.regions ?? [];
}

/** All clusters that the labels of a filter choose, page after page; the first is there to be looked at while others come. */
export function useFleet({ selector }: Pick<Filter, "selector">): UseQueryResult<Fleet> {
  const queryKey = ["fleet", JSON.stringify(selector.requirements)];
  return useQuery({
    queryKey,
    queryFn: async ({ signal }) => {
      const isFirst = queryClient.getQueryData(queryKey) === undefined;
      let shownAt = -pictureMs;
      let fleet: Fleet = { clusters: [], total: 0, isWhole: false };
      let pageToken = "";
      for (let page = 0; page < pagesMax; page += 1) {
        const request = {
          selector: { requirements: [...selector.requirements] },
          pageSize: isFirst && page === 0 ? firstPageSize : pageSize,
          pageToken,
        };
        const answer = await clusters.listClusters(request, { signal });
        pageToken = answer.nextPageToken;
        fleet = {
          clusters: [...fleet.clusters, ...answer.clusters],
          total: answer.totalSize,
          isWhole: pageToken === "",
        };
        if (fleet.isWhole) return fleet;
        if (!isFirst || performance.now() - shownAt < pictureMs) continue;
        shownAt = performance.now();
        queryClient.setQueryData(queryKey, fleet);
      }
      return fleet;
    },
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => everyMs(state.data?.total ?? 0),
  });
}
