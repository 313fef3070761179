import {
  readdirSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  existsSync,
  readlinkSync,
} from "node:fs";
import { join } from "node:path";

/**
 * A ConfigMap or Secret as a kubelet mounts it: the files are links through `..data`, which one rename leads to a new folder;
 * the folder of before is removed after that.
 */
export class Mounted {
  readonly #dir: string;
  #count = 0;
  #last = "";

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true });
  }

  /** Brings the folder to what the object holds. What is the same already is left alone. */
  sync(data: Readonly<Record<string, string>>): void {
    const text = JSON.stringify(data);
    if (text === this.#last) return;
    this.#last = text;
    const at = (name: string) => join(this.#dir, name);
    const before = existsSync(at("..data")) ? readlinkSync(at("..data")) : undefined;
    const folder = `..2026_11_29_00_00_00.${++this.#count}`;
    mkdirSync(at(folder));
    for (const [name, content] of Object.entries(data)) writeFileSync(join(at(folder), name), content);
    symlinkSync(folder, at("..data_tmp"));
    renameSync(at("..data_tmp"), at("..data"));
    for (const name of Object.keys(data)) {
      if (!existsSync(at(name))) symlinkSync(join("..data", name), at(name));
    }
    for (const name of readdirSync(this.#dir)) {
      if (!name.startsWith("..") && !Object.hasOwn(data, name)) rmSync(at(name));
    }
    if (before !== undefined) rmSync(at(before), { recursive: true });
  }
}
