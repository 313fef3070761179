import { readFile } from "node:fs/promises";
import { Flags } from "../oclif.ts";
import { AuthService } from "#proto/fleet/v1/auth";
import { ClusterService } from "#proto/fleet/v1/cluster";
import {
  changeContexts,
  contextsPath,
  parseCa,
  parseServer,
  readContexts,
  withContext,
  type Context,
  type Contexts,
} from "../contexts.ts";
import { misused } from "../failure.ts";
import { FleetCommand } from "../fleet-command.ts";
import { envOf, switchFlag, textFlag } from "../flags.ts";
import { findProvider, type Grant, type Provider } from "../oidc/provider.ts";
import { exchange } from "../oidc/renew.ts";
import { countOf } from "../output/text.ts";
import { parsePin } from "../pin.ts";
import { renderScope } from "../selector.ts";

const tokenBytesMax = 4096;

export default class Login extends FleetCommand {
  static override summary = "Store a server, its CA and a token as a context, after checking that they work.";
  static override description =
    "The token comes from your identity provider with --oidc, else from --token-file or from standard input; never from the command line, where other users could see it. The server must have a certificate of the given CA: by file, or by the pin of its key. Logging in again to a context needs neither server nor CA.";
  static override examples = [
    {
      description: "With the pin that an admin gave you; your browser asks who you are.",
      command:
        "<%= config.bin %> <%= command.id %> --oidc --server https://fleet.example.com:7443 --ca-pin sha256:9f86d08...",
    },
    {
      description: "Without a browser: confirm a code on another device.",
      command: "<%= config.bin %> <%= command.id %> --device --name prod",
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
    "token-file": Flags.string({
      summary: "File that holds the API token; standard input if not given.",
      helpValue: "FILE",
      env: envOf("token-file"),
      exclusive: ["oidc", "device"],
    }),
    oidc: switchFlag("oidc", "Log in with the fleet's identity provider, in a browser."),
    device: switchFlag("device", "Log in with the fleet's identity provider, by a code for another device."),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(Login);
    const path = contextsPath(process.env);
    const stored = await readContexts(path);
    const { name, server } = this.place(stored, flags.name, flags.server);
    const ca = await this.ca(server, flags.ca, flags["ca-pin"], stored.contexts[name]?.ca);
    const context =
      flags.oidc || flags.device
        ? await this.byProvider(name, { server, ca }, flags.device)
        : { server, ca, token: await this.token(flags["token-file"]) };
    const { openConnection } = await import("../connection.ts");
    const connection = openConnection(name, context);
    try {
      const { identity } = await connection.client(AuthService).whoAmI({});
      const { totalSize } = await connection.client(ClusterService).listClusters({ pageSize: 1 });
      await changeContexts(path, (now) => withContext(now, name, context));
      const who = `${identity?.name}, ${identity?.role} of ${renderScope(identity?.scope)}`;
      this.answerWith(
        flags.output,
        () => ({ name, server, file: path, identity: identity?.name ?? "", role: identity?.role ?? "" }),
        () => [
          `Logged in to ${server} as context ${name}, stored in ${path}. You are ${who}. You see ${countOf(totalSize, "cluster")}.`,
        ],
      );
    } catch (error) {
      return await this.catch(error);
    } finally {
      connection.close();
    }
  }

  /** The context that is meant. Only a context that is stored needs no server. */
  private place(stored: Contexts, name: string | undefined, server: string | undefined) {
    const known = name ?? (server === undefined ? stored.current : undefined);
    const address = server ?? (known === undefined ? undefined : stored.contexts[known]?.server);
    if (address === undefined) {
      throw misused("--server is missing", "fleetctl login --server https://HOST:PORT --ca-pin sha256:HEX");
    }
    const parsed = parseServer(address);
    return { name: known ?? new URL(parsed).hostname, server: parsed };
  }

  /** Asks the server where its people log in, lets the person do that there, and takes the result back to the server. */
  private async byProvider(
    name: string,
    reach: { readonly server: string; readonly ca: string },
    onDevice: boolean,
  ): Promise<Context> {
    const { openConnection } = await import("../connection.ts");
    const connection = openConnection(name, reach);
    try {
      const { issuer, clientId, scopes } = await connection.client(AuthService).getLoginOptions({});
      const options = { issuer, clientId, scopes };
      const provider = await findProvider(options);
      const grant = await this.screen.interruptible((signal) => this.ask(provider, onDevice, signal));
      const { token, login } = await exchange(connection, grant, options);
      if (login.refreshToken === undefined) {
        this.talk("The identity provider gives no refresh token: you log in again when this login ends.");
      }
      return { ...reach, token, login };
    } catch (error) {
      return await this.catch(error);
    } finally {
      connection.close();
    }
  }

  private ask(provider: Provider, onDevice: boolean, signal: AbortSignal): Promise<Grant> {
    if (onDevice) {
      return provider.byDevice(({ url, code, whole }) => {
        this.talk(`Open ${url} on any device and enter the code ${code}`);
        if (whole !== undefined) this.talk(`Or follow ${whole}`);
      }, signal);
    }
    return provider.byBrowser((url) => {
      this.talk("Log in with your browser. If none opens, open this address on this machine:", url);
      this.screen.openBrowser(url);
    }, signal);
  }

  private async ca(
    server: string,
    file: string | undefined,
    pin: string | undefined,
    stored: string | undefined,
  ): Promise<string> {
    if (file !== undefined) return parseCa((await read(file, "CA file")).toString("utf8"), file);
    if (pin !== undefined) {
      const parsed = parsePin(pin);
      // It brings all that can judge a certificate.
      const { fetchCa } = await import("../fetch-ca.ts");
      return fetchCa(server, parsed, new Date(this.screen.now()));
    }
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
