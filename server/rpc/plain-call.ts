import {
  fromBinary,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type HandlerContext,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
} from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { createEndStreamSerialization, endStreamFlag } from "@connectrpc/connect/protocol-connect";
import {
  constants,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from "node:http2";

import type { Logger } from "pino";

import type { Request, Response } from "./adapter.ts";
import type { BodyBounds } from "./bounded-body.ts";
import { toWire } from "./interceptors/refusals.ts";
import { readEnvelopes } from "./read-envelopes.ts";

/** A method of agents that is served without what a general library puts around a call. */
export interface PlainMethod<I extends DescMessage = DescMessage> {
  readonly method: DescMethodServerStreaming<I> | DescMethodBiDiStreaming<I>;
  /** The answers to the messages of a call, each in the envelope of a stream; compressed only as the response's header says. */
  readonly frames: (
    messages: AsyncIterable<MessageShape<I>>,
    context: HandlerContext,
  ) => AsyncIterable<Frame>;
}

/** An envelope and its message in one piece, or in some that follow each other, of which others may be sent the same. */
export type Frame = Uint8Array | readonly Uint8Array[];

export interface PlainOptions {
  readonly requestGate: (context: HandlerContext) => void | Promise<void>;
  readonly interceptors: readonly Interceptor[];
  /** Of what fails outside of the interceptors. */
  readonly log: Logger;
}

/** A call over HTTP/2, with what is known of its connection. */
export interface PlainCall {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
  readonly values: ContextValues;
}

/**
 * The call, if it is of the one form that is served here: the Connect protocol in binary over HTTP/2, not compressed, by a caller who
 * takes gzip or nothing, and without a deadline of its own, as agents call. Every other form goes the long way and gets the same messages.
 */
export function plainCall(
  request: Request,
  response: Response,
  values: ContextValues,
): PlainCall | undefined {
  if (!("stream" in request && "stream" in response)) return undefined;
  const { method, authority, headers } = request;
  const takes = headers["connect-accept-encoding"];
  const isPlain =
    method === "POST" &&
    // Without one, the long way refuses it.
    Boolean(authority) &&
    headers["content-type"] === "application/connect+proto" &&
    (takes === undefined || takes === "gzip") &&
    ["connect-content-encoding", "connect-timeout-ms"].every((name) => headers[name] === undefined);
  return isPlain ? { request, response, values } : undefined;
}

/**
 * Serves such a call: as in Connect, the gate comes before the body is read, and the interceptors around the method. What is left out
 * is a dozen iterators per call, each with promises for every message, that cost more CPU than the messages and more memory
 * than the session. What fails is the end of the answer; a caller that has gone is told nothing, and is no failure.
 */
export async function servePlain<I extends DescMessage>(
  plain: PlainMethod<I>,
  options: PlainOptions,
  bounds: BodyBounds,
  call: PlainCall,
): Promise<void> {
  const { request, response } = call;
  const { stream } = response;
  const over = new AbortController();
  const end = () => over.abort(ended);
  // Who waits in line for its turn hears that the caller has gone.
  response.once("close", end);
  let answer: Answer | undefined;
  let failure: ConnectError | undefined;
  try {
    const context = contextOf(plain, call, over.signal);
    await options.requestGate(context);
    const decode = (message: Uint8Array) => read(plain.method.input, message);
    const messages = readEnvelopes(request, { bounds, decode, gone: ended, isGone: () => isGone(stream) });
    answer = await intercepted(plain, options.interceptors, context, messages);
    await pump(answer, stream);
  } catch (error) {
    failure = toWire(error, over.signal, plain.method.name, options.log);
  }
  end();
  finish(request, stream, answer, failure);
}

/** What the interceptors give out, with what they have added to it. */
interface Answer {
  readonly header: Headers;
  readonly message: AsyncIterable<Frame>;
  readonly trailer: Headers;
}

/** Made once, because the trace of a new one costs as much as the rest of the call's end. */
const ended = new ConnectError("The call has ended", Code.Canceled);

function read<I extends DescMessage>(schema: I, message: Uint8Array): MessageShape<I> {
  try {
    return fromBinary(schema, message, { readUnknownFields: false });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConnectError(`The request cannot be read: ${why}`, Code.InvalidArgument);
  }
}

/** Writes each frame when the one before was taken. Stops when the caller has gone. */
async function pump({ message, header }: Answer, stream: ServerHttp2Stream): Promise<void> {
  const iterator = message[Symbol.asyncIterator]();
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return;
    if (isGone(stream)) {
      await iterator.return?.();
      return;
    }
    begin(stream, header);
    if (!write(stream, next.value)) await taken(stream);
  }
}

/** What is in pieces goes out in one go. False when the stream is to be waited for. */
function write(stream: ServerHttp2Stream, frame: Frame): boolean {
  if (frame instanceof Uint8Array) return stream.write(frame);
  stream.cork();
  const taken = frame.map((piece) => stream.write(piece));
  stream.uncork();
  return taken.every(Boolean);
}

function isGone(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

/** Not before there is something to say, as Connect does. */
function begin(stream: ServerHttp2Stream, header: Iterable<[string, string]> = []): void {
  if (stream.headersSent) return;
  const own = { ":status": 200, "content-type": "application/connect+proto" };
  stream.respond({ ...Object.fromEntries(header), ...own });
}

function taken(stream: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      stream.off("drain", go);
      stream.off("close", go);
      resolve();
    };
    stream.once("drain", go);
    stream.once("close", go);
  });
}

/** Says how the call ended, and takes nothing more of a request that goes on. */
function finish(
  request: Http2ServerRequest,
  stream: ServerHttp2Stream,
  answer: Answer | undefined,
  failure: ConnectError | undefined,
): void {
  if (isGone(stream)) return;
  begin(stream, answer?.header);
  const last = endOfStream(answer?.trailer, failure);
  // A stream that both sides have ended may be over before it says so, which the platform makes an error of with its stack.
  if (request.complete) {
    stream.end(last);
    return;
  }
  stream.end(last, () => {
    if (!request.complete && !isGone(stream)) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}

function contextOf<I extends DescMessage>(
  { method }: PlainMethod<I>,
  { request, values }: PlainCall,
  signal: AbortSignal,
): HandlerContext {
  const named = Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
    name.startsWith(":") || value === undefined ? [] : [[name, String(value)]],
  );
  return {
    method,
    service: method.parent,
    signal,
    timeoutMs: () => undefined,
    requestMethod: request.method,
    requestHeader: new Headers(named),
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    protocolName: "connect",
    values,
    url: `https://${request.authority}${request.url}`,
  };
}

/**
 * What interceptors make of the request is what the method gets, and what they make of the response is what the caller gets, as in
 * Connect. But what travels to the caller are frames here, and messages there.
 */
async function intercepted<I extends DescMessage>(
  plain: PlainMethod<I>,
  interceptors: readonly Interceptor[],
  context: HandlerContext,
  messages: AsyncIterable<MessageShape<I>>,
): Promise<Answer> {
  const { service, method, url, signal, values: contextValues, requestMethod, requestHeader } = context;
  const common = { stream: true, service, method } as const;
  const request = {
    ...common,
    url,
    signal,
    contextValues,
    requestMethod,
    header: requestHeader,
    message: messages,
  };
  const response = { ...common, header: context.responseHeader, trailer: context.responseTrailer };
  const run = interceptors.reduceRight<ReturnType<Interceptor>>(
    (next, each) => each(next),
    ({ message }) => {
      const frames = plain.frames(message as unknown as typeof messages, context);
      return Promise.resolve({ ...response, message: frames } as unknown as StreamResponse);
    },
  );
  return (await run(request as unknown as StreamRequest)) as unknown as Answer;
}

/** The one message of a request whose method takes one. */
export async function onlyOf<T>(messages: AsyncIterable<T>): Promise<T> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) {
    throw new ConnectError("This call takes one message, and none came", Code.Unimplemented);
  }
  if ((await iterator.next()).done !== true) {
    throw new ConnectError("This call takes one message, and more came", Code.Unimplemented);
  }
  return first.value;
}

const ends = createEndStreamSerialization(undefined);

function endOfStream(trailer = new Headers(), error?: ConnectError): Uint8Array {
  const data = ends.serialize({ metadata: trailer, ...(error === undefined ? {} : { error }) });
  return encodeEnvelope(endStreamFlag, data);
}
