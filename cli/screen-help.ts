import { Help } from "@oclif/core/help";
import type { FleetConfig } from "./fleet-config.ts";
import type { Screen } from "./screen.ts";

/** oclif's help, on our screen. */
export class ScreenHelp extends Help {
  readonly #screen: Screen;

  constructor(config: FleetConfig, screen: Screen) {
    super(config, { maxWidth: Math.min(screen.columns, 120), stripAnsi: !screen.outIsTerminal });
    this.#screen = screen;
  }

  protected override log(...lines: string[]): void {
    this.#screen.out(`${lines.join(" ")}\n`);
  }
}
