import { Code, ConnectError, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import type { StreamResponse, UnaryResponse } from "@connectrpc/connect";
import type { Attributes, Span } from "./traces.ts";

type Request = UnaryRequest | StreamRequest;
type Response = UnaryResponse | StreamResponse;

/** The name of a method, which is that of the span of a call as well. */
export function methodOf({ service, method }: Pick<Request, "service" | "method">): string {
  return `${service.typeName}/${method.name}`;
}

/** What OpenTelemetry wants to know of a call. */
export function callAttributes(request: Request): Attributes {
  return { "rpc.system.name": "connectrpc", "rpc.method": methodOf(request) };
}

/** The name of a Connect code as it stands in answers: "not_found". */
export function codeName(error: unknown): string {
  const code = Code[ConnectError.from(error).code] ?? "Unknown";
  return code.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

/** Makes a call and ends its span with it; a stream ends with its last message. */
export async function followCall(span: Span, call: () => Promise<Response>): Promise<Response> {
  try {
    const response = await call();
    if (response.stream) return { ...response, message: followed(response.message, span) };
    span.end();
    return response;
  } catch (error) {
    fail(span, error);
    throw error;
  }
}

async function* followed<T>(messages: AsyncIterable<T>, span: Span): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    fail(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** The code alone: the words of a refusal may repeat what somebody sent. */
function fail(span: Span, error: unknown): void {
  const code = codeName(error);
  span.note({ "rpc.response.status_code": code, "error.type": code });
  span.end(code);
}
