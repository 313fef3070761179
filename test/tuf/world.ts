import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { runClient } from "./client.ts";
import { Repository } from "./repository.ts";

/** Another client to run instead of ours, as a command; how the scenarios themselves are checked. */
const command = process.env["FALCONRY_TUF_CLIENT"];

/** A repository behind HTTP, and a client with folders of its own. */
export interface World {
  readonly repository: Repository;
  readonly client: Client;
}

export async function tufWorld(t: TestContext): Promise<World> {
  const repository = new Repository();
  const server = createServer((request, response) => {
    const body = repository.fetch((request.url ?? "").slice(1));
    response.writeHead(body === undefined ? 404 : 200, { connection: "close" }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const dir = mkdtempSync(join(tmpdir(), "falconry-tuf-"));
  t.after(() => {
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const { port } = server.address() as AddressInfo;
  return { repository, client: new Client(dir, `http://127.0.0.1:${port}`, repository) };
}

/** The client under test. Its commands answer 0 for done and 1 for refused, as the process would. */
export class Client {
  readonly #metadata: string;
  readonly #artifacts: string;
  readonly #url: string;
  readonly #dir: string;
  readonly #repository: Repository;

  constructor(dir: string, url: string, repository: Repository) {
    this.#dir = dir;
    this.#url = url;
    this.#repository = repository;
    this.#metadata = join(dir, "metadata");
    this.#artifacts = join(dir, "targets");
    mkdirSync(this.#metadata);
    mkdirSync(this.#artifacts);
  }

  /** Without a root, the repository's first one. */
  init(root: Uint8Array = this.#repository.published.get("root")![0]!): Promise<number> {
    const file = join(this.#dir, "initial_root.json");
    writeFileSync(file, root);
    return this.#run(["--metadata-dir", this.#metadata, "init", file]);
  }

  refresh(now?: Date): Promise<number> {
    return this.#run([...this.#metadataFlags(), "refresh"], now);
  }

  download(name: string, now?: Date): Promise<number> {
    const target = ["--target-name", name, "--target-dir", this.#artifacts];
    const flags = [...this.#metadataFlags(), ...target, "--target-base-url", `${this.#url}/targets/`];
    return this.#run([...flags, "download"], now);
  }

  #metadataFlags(): readonly string[] {
    return ["--metadata-url", `${this.#url}/metadata/`, "--metadata-dir", this.#metadata];
  }

  async #run(args: readonly string[], now?: Date): Promise<number> {
    if (command === undefined) return (await runClient(args, now ?? new Date())).ok ? 0 : 1;
    const [program = "", ...first] = command.split(" ");
    const clock = now === undefined ? {} : { FALCONRY_TUF_NOW: now.toISOString() };
    const child = spawn(program, [...first, ...args], {
      stdio: "ignore",
      env: { ...process.env, ...clock },
    });
    const [code] = (await once(child, "close")) as [number];
    return code;
  }

  /** "root 1", "timestamp 2" and so on: what the client holds to be true, by name. */
  trusted(): readonly string[] {
    const files = readdirSync(this.#metadata).filter((file) => file.endsWith(".json"));
    return files.toSorted().map((file) => {
      const text = readFileSync(join(this.#metadata, file), "utf8");
      const { version } = (JSON.parse(text) as { signed: { version: number } }).signed;
      return `${file.slice(0, -".json".length)} ${version}`;
    });
  }

  /** The version of one role, 0 for none. */
  version(role: string): number {
    const [, version] = (this.trusted().find((entry) => entry.startsWith(`${role} `)) ?? "").split(" ");
    return Number(version ?? 0);
  }

  content(role: string): Buffer {
    return readFileSync(join(this.#metadata, `${role}.json`));
  }

  /** What was downloaded and kept, oldest first. */
  artifacts(): readonly string[] {
    const files = readdirSync(this.#artifacts, { recursive: true }).map((file) =>
      join(this.#artifacts, String(file)),
    );
    return files
      .filter((file) => statSync(file).isFile())
      .toSorted((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs)
      .map((file) => readFileSync(file, "utf8"));
  }
}
