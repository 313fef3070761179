/**
 * The door to oclif, for all of fleetctl. By way of `@oclif/core` itself every start would load what oclif has for plugins, for running
 * as a program of its own and for judging Node's version: half of its files.
 */
export { Command } from "@oclif/core/command";
export * as Args from "@oclif/core/args";
export * as Errors from "@oclif/core/errors";
export * as Flags from "@oclif/core/flags";
export type * as Interfaces from "@oclif/core/interfaces";
