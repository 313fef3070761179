import { constants } from "node:http2";
import type { ClientHttp2Stream } from "node:http2";
import { PassThrough } from "node:stream";
import { Http2SessionManager } from "@connectrpc/connect-node";

/**
 * A connection for Connect clients that always reads a response to its end.
 *
 * Node 24.20 to 24.22 refuse to iterate an HTTP/2 response that is complete and still buffered: iteration that begins
 * after the stream was closed ends in "Premature close" (nodejs/node#65677). Connect begins to iterate late when the
 * process is busy, so single calls fail at random. Here the body is taken up as soon as its headers are there.
 */
export class Http2Connection extends Http2SessionManager {
  override async request(...args: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...args);
    const body = new PassThrough();
    // Whoever reads the body hears of errors from it; without a reader nobody has to.
    body.on("error", () => undefined);
    stream.once("response", () => stream.pipe(body, { end: false }));
    // A reset ends the stream, too: only the code tells a whole response from one that breaks off.
    stream.once("end", () =>
      stream.rstCode === constants.NGHTTP2_NO_ERROR ? body.end() : body.destroy(brokenOff(stream)),
    );
    stream.once("error", (error) => body.destroy(error));
    stream.once("close", () => {
      if (!stream.readableEnded) body.destroy(brokenOff(stream));
    });
    Object.defineProperty(stream, Symbol.asyncIterator, { value: () => body[Symbol.asyncIterator]() });
    return stream;
  }
}

function brokenOff(stream: ClientHttp2Stream): Error {
  return new Error(`The server broke the response off (HTTP/2 code ${stream.rstCode})`);
}
