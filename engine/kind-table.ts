/** Kinds are found in a few steps while no more than one place in so many is taken. */
const spareness = 4;

/** Finds numbers by rows of small numbers: what an event says in each of the fields that tell kinds apart. */
export class KindTable {
  private readonly width: number;
  private readonly kindsMax: number;
  /** By hash: number + 1 of a row, or 0. */
  private readonly table: Int32Array;
  private rows: Int32Array;
  private used: number;

  constructor(width: number, kindsMax: number) {
    this.width = width;
    this.kindsMax = kindsMax;
    this.table = new Int32Array(2 ** Math.ceil(Math.log2(kindsMax * spareness)));
    this.rows = new Int32Array(width * 64);
    this.used = 0;
  }

  /** The number of a row, or -1. */
  find(row: Int32Array): number {
    const { table } = this;
    let at = this.placeOf(row);
    for (;;) {
      const number = (table[at] ?? 0) - 1;
      if (number < 0 || this.isAt(number, row)) return number;
      at = (at + 1) & (table.length - 1);
    }
  }

  /** Takes in a row that is not there yet, and gives its number, one more than the last; -1 when there is no room for more. */
  add(row: Int32Array): number {
    const { table, width } = this;
    if (this.used >= this.kindsMax) return -1;
    let at = this.placeOf(row);
    while (table[at] !== 0) at = (at + 1) & (table.length - 1);
    const number = this.used++;
    table[at] = this.used;
    if (this.rows.length < this.used * width) {
      const wider = new Int32Array(this.rows.length * 2);
      wider.set(this.rows);
      this.rows = wider;
    }
    this.rows.set(row, number * width);
    return number;
  }

  private isAt(number: number, row: Int32Array): boolean {
    const { rows, width } = this;
    const from = number * width;
    for (let i = 0; i < width; i++) if (rows[from + i] !== row[i]) return false;
    return true;
  }

  private placeOf(row: Int32Array): number {
    let hash = 0;
    for (let i = 0; i < this.width; i++) hash = Math.imul(hash ^ (row[i] ?? 0), 0x01000193);
    return (hash ^ (hash >>> 15)) & (this.table.length - 1);
  }
}
