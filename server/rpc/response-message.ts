import { create } from "@bufbuild/protobuf";
import { ResponseSchema, type Response } from "#proto/fleet/v1/response";

import type { StoredResponse } from "../store/responses.ts";
import { toTimestamp } from "./messages.ts";

/** What an agent did about an alert, as people get it. */
export function toResponse({ decidedAt, receivedAt, ...row }: StoredResponse): Response {
  const at = { decidedAt: toTimestamp(decidedAt), receivedAt: toTimestamp(receivedAt) };
  return create(ResponseSchema, {
    ...row,
    ...(at.decidedAt === undefined ? {} : { decidedAt: at.decidedAt }),
    ...(at.receivedAt === undefined ? {} : { receivedAt: at.receivedAt }),
  });
}
