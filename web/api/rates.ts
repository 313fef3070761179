import { useQuery } from "@connectrpc/connect-query";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ClusterService, type RateSeries } from "#proto/fleet/v1/cluster";
import type { RequirementSchema } from "#proto/fleet/v1/common";

/** Minute by minute, what some clusters did. */
export function useRates(
  requirements: readonly MessageInitShape<typeof RequirementSchema>[],
  minutes: number,
): readonly RateSeries[] {
  const { data } = useQuery(
    ClusterService.method.getRates,
    { selector: { requirements: [...requirements] }, minutes },
    { refetchInterval: 20_000 },
  );
  return data?.series ?? none;
}

const none: readonly RateSeries[] = [];
