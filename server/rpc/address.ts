import { createContextKey } from "@connectrpc/connect";

/** The network address that a call came from, as this server sees it: that of a proxy, if there is one. */
export const addressKey = createContextKey<string>("");
