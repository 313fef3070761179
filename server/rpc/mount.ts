import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";

import type { Permission } from "../domain/permission.ts";
import { messageBytesMax } from "../limits.ts";
import type { PlainMethod } from "./plain-call.ts";

/** A service with the permission of every method, ready to be routed. */
export interface Mounted {
  readonly service: DescService;
  readonly permissions: ReadonlyMap<DescMethod, Permission>;
  /** Bytes of one message, after unpacking. */
  readonly readMaxBytes: number;
  readonly route: (router: ConnectRouter) => void;
  /** Methods that are served without Connect, in the one form in which agents call them. */
  readonly plain: ReadonlyMap<DescMethod, PlainMethod>;
}

export interface MountOptions {
  readonly readMaxBytes?: number;
  readonly plain?: readonly PlainMethod[];
}

/**
 * Joins a service, its permissions and its implementation. A method without a permission does not compile. Messages
 * larger than `readMaxBytes` are refused before they are parsed.
 */
export function mount<S extends DescService>(
  service: S,
  permissions: Readonly<Record<keyof S["method"], Permission>>,
  implementation: ServiceImpl<S>,
  { readMaxBytes = messageBytesMax.operator, plain = [] }: MountOptions = {},
): Mounted {
  const byName = permissions as Readonly<Record<string, Permission>>;
  return {
    service,
    permissions: new Map(
      service.methods.flatMap((method) => {
        const permission = byName[method.localName];
        return permission === undefined ? [] : [[method, permission]];
      }),
    ),
    readMaxBytes,
    route: (router) => {
      router.service(service, implementation, { readMaxBytes });
    },
    plain: new Map(plain.map((each) => [each.method, each])),
  };
}
