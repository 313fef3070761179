/**
 * How far a file was handed over. Nearly always that is one offset. Where lines are joined, lines behind one that still
 * waits for its rest may be done before it: those are remembered as ranges, so that after a restart none of them comes
 * twice and none is taken for the beginning of something else.
 */
export class Progress {
  #offset: number;
  /** Ascending and apart from one another: [2n] is where range n begins, [2n + 1] where it ends. All beyond the offset. */
  readonly #ahead: number[];

  constructor(offset: number, ahead: readonly (readonly [from: number, to: number])[] = []) {
    this.#offset = offset;
    this.#ahead = ahead.flat();
  }

  /** Everything before it is done. */
  get offset(): number {
    return this.#offset;
  }

  get ahead(): readonly (readonly [from: number, to: number])[] {
    const ranges: [number, number][] = [];
    for (let at = 0; at < this.#ahead.length; at += 2) ranges.push([this.#from(at), this.#from(at + 1)]);
    return ranges;
  }

  get hasAhead(): boolean {
    return this.#ahead.length > 0;
  }

  /** Notes a line as done; one that is done already stays so. */
  add(from: number, to: number): void {
    if (from < this.#offset || this.isAhead(from)) return;
    if (from === this.#offset) {
      this.#offset = to;
      while (this.#ahead[0] === this.#offset) [, this.#offset = to] = this.#ahead.splice(0, 2);
      return;
    }
    // Nearly always behind everything else.
    let at = this.#ahead.length;
    while (at > 0 && this.#from(at - 2) > from) at -= 2;
    const joinsLeft = at > 0 && this.#ahead[at - 1] === from;
    const joinsRight = this.#ahead[at] === to;
    if (joinsLeft && joinsRight) this.#ahead.splice(at - 1, 2);
    else if (joinsLeft) this.#ahead[at - 1] = to;
    else if (joinsRight) this.#ahead[at] = from;
    else this.#ahead.splice(at, 0, from, to);
  }

  /** Whether the line that begins there is done although lines before it are not. */
  isAhead(from: number): boolean {
    for (let at = 0; at < this.#ahead.length; at += 2) {
      if (from < this.#from(at)) return false;
      if (from < this.#from(at + 1)) return true;
    }
    return false;
  }

  #from(at: number): number {
    return this.#ahead[at] ?? 0;
  }
}
