import { createContextKey } from "@connectrpc/connect";

/**
 * Cuts the connection of a call below everything that may wait for it. The way out when the other end takes nothing any
 * more: then not even an error can be sent.
 */
export const cutKey = createContextKey<() => void>(() => {});
