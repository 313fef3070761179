import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A span as it arrived, with the program that wrote it. */
export interface ArrivedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly id: string;
  /** "" for the root of a trace. */
  readonly parentId: string;
  readonly kind: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, string>>;
  /** What it failed with; undefined when it did not. */
  readonly error: string | undefined;
}

/** What stands in for a collector of OpenTelemetry: takes OTLP over HTTP with bodies of protobuf. */
export interface Collector {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  readonly spans: readonly ArrivedSpan[];
  /** Connections that were opened to it. */
  readonly connections: () => number;
}

export async function startCollector(t: TestContext): Promise<Collector> {
  const spans: ArrivedSpan[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const isTraces = request.method === "POST" && request.url === "/v1/traces";
      if (isTraces) spans.push(...readSpans(body));
      response.writeHead(isTraces ? 200 : 404, { "content-type": "application/x-protobuf" }).end();
    });
  });
  server.on("connection", () => (connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, spans, connections: () => connections };
}

type Fields = ReadonlyMap<number, readonly (Uint8Array | bigint)[]>;

/** The fields of a message by number: bytes for what has a length, numbers for the rest. */
function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, (Uint8Array | bigint)[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const value = valueOf(reader, type);
    if (value === undefined) reader.skip(type);
    else fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

function valueOf(reader: BinaryReader, type: WireType): Uint8Array | bigint | undefined {
  if (type === WireType.LengthDelimited) return reader.bytes();
  if (type === WireType.Bit64) return BigInt(reader.fixed64());
  return type === WireType.Varint ? BigInt(reader.uint64()) : undefined;
}

const messages = (fields: Fields, number: number): Fields[] =>
  (fields.get(number) ?? []).flatMap((value) => (typeof value === "bigint" ? [] : [fieldsOf(value)]));
const bytesOf = (fields: Fields, number: number): Uint8Array => {
  const [value] = fields.get(number) ?? [];
  return value === undefined || typeof value === "bigint" ? new Uint8Array() : value;
};
const numberOf = (fields: Fields, number: number): bigint => {
  const [value] = fields.get(number) ?? [];
  return typeof value === "bigint" ? value : 0n;
};
const textOf = (fields: Fields, number: number): string => Buffer.from(bytesOf(fields, number)).toString();
const hexOf = (fields: Fields, number: number): string =>
  Buffer.from(bytesOf(fields, number)).toString("hex");

/** `ExportTraceServiceRequest`, as opentelemetry/proto/trace/v1/trace.proto numbers its fields. */
function readSpans(body: Uint8Array): readonly ArrivedSpan[] {
  return messages(fieldsOf(body), 1).flatMap((resourceSpans) => {
    const [resource] = messages(resourceSpans, 1);
    const service = resource === undefined ? "" : (attributesOf(resource, 1)["service.name"] ?? "");
    return messages(resourceSpans, 2).flatMap((scope) =>
      messages(scope, 2).map((span): ArrivedSpan => {
        const [status] = messages(span, 15);
        const isError = status !== undefined && numberOf(status, 3) === 2n;
        return {
          service,
          name: textOf(span, 5),
          traceId: hexOf(span, 1),
          id: hexOf(span, 2),
          parentId: hexOf(span, 4),
          kind: Number(numberOf(span, 6)),
          startNs: numberOf(span, 7),
          endNs: numberOf(span, 8),
          attributes: attributesOf(span, 9),
          error: isError ? textOf(status, 2) : undefined,
        };
      }),
    );
  });
}

function attributesOf(fields: Fields, number: number): Record<string, string> {
  return Object.fromEntries(
    messages(fields, number).map((pair) => {
      const [value] = messages(pair, 2);
      const text = value === undefined ? "" : value.has(1) ? textOf(value, 1) : String(numberOf(value, 3));
      return [textOf(pair, 1), text] as const;
    }),
  );
}
