const startRows = 8;
/** Less could not hold where a text is while the next state is looked for. */
const keptAlways = 4;

/**
 * What has been found out so far: states (sets of waiting positions, and whether the text may end there), and which state
 * follows each on a class of characters. A state is known by the place of its row, which has one field for each class.
 */
export class StateTable {
  /** The row of the state that nothing leads out of. */
  readonly dead: number;
  /** A field is the row of the next state, or 0 while that is not known. */
  rows: Int32Array;
  /** Changes whenever all states are forgotten, after which their rows mean nothing. */
  age: number;
  private readonly stride: number;
  private readonly room: number;
  private used: number;
  /** Of each state: whether the text may end, then pairs of a word that is not zero and its bits. */
  private readonly starts: number[];
  private pool: Int32Array;
  private pooled: number;
  /** Numbers of states by the hash of what they hold, or 0. */
  private buckets: Int32Array;

  /** Of `room`, the numbers that may be kept, the few states that every test needs are no part. */
  constructor(classes: number, room: number) {
    this.stride = classes;
    this.room = room;
    this.dead = classes;
    this.rows = new Int32Array(startRows * classes);
    this.starts = [];
    this.pool = new Int32Array(64);
    this.buckets = new Int32Array(4 * startRows);
    this.used = 0;
    this.pooled = 0;
    this.age = 0;
    this.clear();
  }

  /** Forgets all states. */
  clear(): void {
    this.rows.fill(0, 0, this.used * this.stride);
    this.buckets.fill(0);
    this.starts.length = 0;
    this.age++;
    // No state has row 0, and the one that nothing leads out of has no positions.
    this.starts.push(0, 0);
    this.used = 2;
    this.pooled = 0;
    this.rows.fill(this.dead, this.dead, 2 * this.dead);
  }

  /** The row of a state, or 0 when there is no room for another. */
  find(waiting: Int32Array, isDone: boolean): number {
    const end = this.write(waiting, isDone);
    const length = end - this.pooled;
    if (length === 1 && !isDone) return this.dead;
    const mask = this.buckets.length - 1;
    let place = this.hash(end) & mask;
    for (; this.buckets[place] !== 0; place = (place + 1) & mask) {
      const state = this.buckets[place] ?? 0;
      if (this.equals(state, length)) return state * this.stride;
    }
    if (this.used > keptAlways && (this.used + 1) * this.stride + end > this.room) return 0;
    return this.add(place, end);
  }

  /** Puts the waiting positions of a state into words. */
  load(row: number, waiting: Int32Array): void {
    waiting.fill(0);
    const state = row / this.stride;
    const end = this.starts[state + 1] ?? this.pooled;
    for (let i = (this.starts[state] ?? 0) + 1; i < end; i += 2) {
      waiting[this.pool[i] ?? 0] = this.pool[i + 1] ?? 0;
    }
  }

  isDone(row: number): boolean {
    return row !== this.dead && this.pool[this.starts[row / this.stride] ?? 0] === 1;
  }

  private add(place: number, end: number): number {
    const state = this.used++;
    this.starts.push(this.pooled);
    this.pooled = end;
    this.buckets[place] = state;
    if (this.used * this.stride > this.rows.length) this.rows = longer(this.rows, this.used * this.stride);
    if (this.used * 2 > this.buckets.length) this.rehash();
    return state * this.stride;
  }

  /** Writes a state behind those in the pool. */
  private write(waiting: Int32Array, isDone: boolean): number {
    const most = this.pooled + 1 + 2 * waiting.length;
    if (most > this.pool.length) this.pool = longer(this.pool, most);
    const { pool } = this;
    let end = this.pooled;
    pool[end++] = isDone ? 1 : 0;
    for (let i = 0; i < waiting.length; i++) {
      if (waiting[i] === 0) continue;
      pool[end++] = i;
      pool[end++] = waiting[i] ?? 0;
    }
    return end;
  }

  private hash(end: number, start = this.pooled): number {
    let hash = 0;
    for (let i = start; i < end; i++) {
      hash = Math.imul(hash ^ (this.pool[i] ?? 0), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  private equals(state: number, length: number): boolean {
    const { pool } = this;
    const start = this.starts[state] ?? 0;
    if ((this.starts[state + 1] ?? this.pooled) - start !== length) return false;
    for (let i = 0; i < length; i++) if (pool[start + i] !== pool[this.pooled + i]) return false;
    return true;
  }

  private rehash(): void {
    this.buckets = new Int32Array(2 * this.buckets.length);
    const mask = this.buckets.length - 1;
    for (let state = 2; state < this.used; state++) {
      let place = this.hash(this.starts[state + 1] ?? this.pooled, this.starts[state]) & mask;
      while (this.buckets[place] !== 0) place = (place + 1) & mask;
      this.buckets[place] = state;
    }
  }
}

function longer(numbers: Int32Array, least: number): Int32Array {
  const more = new Int32Array(Math.max(least, 2 * numbers.length));
  more.set(numbers);
  return more;
}
