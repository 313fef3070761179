/** The door of the room: the client side of HTTP/2 connections, shared by agents, fleetctl and tests. */
export { Http2Connection, windowBytes, type KeepAlive } from "./http2-connection.ts";
