import { readFile } from "node:fs/promises";
import { Flags } from "@oclif/core";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { openConnection } from "../connection.ts";
import { contextsPath, parseCa, parseServer, readContexts, saveContexts, withContext } from "../contexts.ts";
import { misused } from "../failure.ts";
import { FleetCommand } from "../fleet-command.ts";
import { envOf, textFlag } from "../flags.ts";
import { fetchCa } from "../fetch-ca.ts";
import { countOf } from "../output/text.ts";
import { parsePin } from "../pin.ts";

const tokenBytesMax = 4096;

export default class Login extends FleetCommand {
  static override summary = "Store a server, its CA and a token as a context, after checking that they work.";
  static override description =
    "The token comes from --token-file or from standard input, never from the command line, where other users could see it. The server must have a certificate of the given CA: by file, or by the pin of its key.";
  static override examples = [
    {
      description: "With the pin that an admin gave you; the token is asked for.",
      command:
        "<%= config.bin %> <%= command.id %> --server https://fleet.example.com:7443 --ca-pin sha256:9f86d08...",
    },
    {
      description: "In a script, under a name of its own.",
      command:
        "<%= config.bin %> <%= command.id %> --name prod --server https://fleet.example.com:7443 --ca ca.pem --token-file prod.token",
    },
  ];
  static override flags = {
    name: textFlag("name", "Name of the context; the host of the server if not given.", "NAME"),
    ca: Flags.string({
      summary: "The CA certificate of the server, PEM.",
      helpValue: "FILE",
      env: envOf("ca"),
      exclusive: ["ca-pin"],
    }),
    "ca-pin": textFlag("ca-pin", "The pin of the CA's key, as join strings carry it.", "sha256:HEX"),
    "token-file": textFlag(
      "token-file",
      "File that holds the API token; standard input if not given.",
      "FILE",
    ),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(Login);
    if (flags.server === undefined) {
      throw misused("--server is missing", "fleetctl login --server https://HOST:PORT --ca-pin sha256:HEX");
    }
    const server = parseServer(flags.server);
    const path = contextsPath(process.env);
    const stored = await readContexts(path);
    const name = flags.name ?? new URL(server).hostname;
    const ca = await this.ca(server, flags.ca, flags["ca-pin"], stored.contexts[name]?.ca);
    const context = { server, ca, token: await this.token(flags["token-file"]) };
    const connection = openConnection(name, context);
    try {
      const { totalSize } = await connection.client(ClusterService).listClusters({ pageSize: 1 });
      await saveContexts(path, withContext(stored, name, context));
      this.answerWith(
        flags.output,
        () => ({ name, server, file: path }),
        () => [
          `Logged in to ${server} as context ${name}, stored in ${path}. It has ${countOf(totalSize, "cluster")}.`,
        ],
      );
    } catch (error) {
      return await this.catch(error);
    } finally {
      connection.close();
    }
  }

  private async ca(
    server: string,
    file: string | undefined,
    pin: string | undefined,
    stored: string | undefined,
  ): Promise<string> {
    if (file !== undefined) return parseCa((await read(file, "CA file")).toString("utf8"), file);
    if (pin !== undefined) return fetchCa(server, parsePin(pin), new Date(this.screen.now()));
    // Logging in again with a new token trusts the CA that was trusted before.
    if (stored !== undefined) return stored;
    throw misused(
      "How to know the server is missing: give its CA, or the pin of its CA's key",
      `fleetctl login --server ${server} --ca ca.pem`,
      `fleetctl login --server ${server} --ca-pin sha256:HEX`,
    );
  }

  private async token(file: string | undefined): Promise<string> {
    const { inputIsTerminal } = this.screen;
    const bytes =
      file !== undefined
        ? await read(file, "token file")
        : inputIsTerminal
          ? Buffer.from(await this.screen.askSecret("API token: "))
          : await this.screen.readInput(tokenBytesMax);
    const token =
      bytes === undefined || bytes.length > tokenBytesMax ? undefined : bytes.toString("utf8").trim();
    if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
      const from = file ?? "standard input";
      throw misused(
        `There is no API token in ${from}`,
        "An API token is one word, as fleetctl token api create prints it.",
      );
    }
    return token;
  }
}

async function read(file: string, what: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw misused(
      `The ${what} ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      "Check the path.",
    );
  }
}
