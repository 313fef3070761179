import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { Flags } from "./oclif.ts";
import type { TrustService } from "#proto/fleet/v1/trust";
import type { RoleName } from "#trust";
import { contextsPath } from "./contexts.ts";
import { misused } from "./failure.ts";
import { envOf } from "./flags.ts";
import type { Screen } from "./screen.ts";

/** Where the offline keys are and how they are opened. */
export const keyFlags = {
  dir: Flags.string({
    summary: "Trust folder with the offline keys; trust beside the contexts file if not given.",
    helpValue: "DIR",
    env: "FLEETCTL_TRUST_DIR",
  }),
  "passphrase-file": Flags.string({
    summary: "File that holds the passphrase of the keys; else FLEETCTL_PASSPHRASE, else it is asked for.",
    helpValue: "FILE",
    env: envOf("passphrase-file"),
  }),
};

const passphraseBytesMax = 4096;

/** The folder that holds the offline keys. */
export function trustDirectory(chosen: string | undefined): string {
  return chosen ?? join(dirname(contextsPath(process.env)), "trust");
}

/**
 * The passphrase from the file, from the environment, or asked for; `twice` asks again, for a new one. Throws when there
 * is nobody to ask.
 */
export async function passphraseFrom(
  file: string | undefined,
  screen: Screen,
  twice: boolean,
): Promise<string> {
  if (file !== undefined) return readPassphrase(file);
  const fromEnv = process.env["FLEETCTL_PASSPHRASE"];
  if (fromEnv !== undefined && fromEnv !== "") return fromEnv;
  if (!screen.inputIsTerminal) {
    throw misused(
      "The passphrase of the keys is missing and there is no terminal to ask for it",
      "--passphrase-file FILE",
      "FLEETCTL_PASSPHRASE in the environment",
      ...(twice ? ["--insecure-plain-keys   for a fleet to try things with"] : []),
    );
  }
  return twice ? askTwice(screen) : screen.askSecret("Passphrase of the keys: ");
}

/** The passphrase that is to take the place of another: from the file, from the environment, or asked for twice. */
export async function newPassphraseFrom(file: string | undefined, screen: Screen): Promise<string> {
  if (file !== undefined) return readPassphrase(file);
  const fromEnv = process.env["FLEETCTL_NEW_PASSPHRASE"];
  if (fromEnv !== undefined && fromEnv !== "") return fromEnv;
  if (screen.inputIsTerminal) return askTwice(screen);
  throw misused(
    "The new passphrase is missing and there is no terminal to ask for it",
    "--new-passphrase-file FILE",
    "FLEETCTL_NEW_PASSPHRASE in the environment",
  );
}

async function askTwice(screen: Screen): Promise<string> {
  const passphrase = await screen.askSecret("New passphrase for the keys: ");
  if ((await screen.askSecret("The same again: ")) === passphrase) return passphrase;
  throw misused("The two passphrases differ", "Run it again.");
}

async function readPassphrase(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw misused(`The passphrase file ${file} cannot be read (${error.code})`, "Check the path.");
  });
  const passphrase = bytes.toString("utf8").replace(/\r?\n$/, "");
  if (passphrase === "" || bytes.length > passphraseBytesMax || /[\r\n]/.test(passphrase)) {
    throw misused(`The passphrase file ${file} does not hold one line with a passphrase`);
  }
  return passphrase;
}

/** The metadata of a role that the server publishes, or undefined when it publishes none yet. */
export async function metadataOf(
  service: Client<typeof TrustService>,
  role: RoleName | `layer-${string}`,
): Promise<Uint8Array | undefined> {
  try {
    return (await service.getMetadata({ role })).metadata;
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.NotFound) return undefined;
    throw error;
  }
}
