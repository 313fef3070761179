import { type CharSet, newline, splitNewline } from "./char-set.ts";
import { type Pattern, tooLarge } from "./pattern.ts";

/**
 * A pattern as places for single characters (Glushkov's automaton). A text matches when its characters can be put on a row
 * of positions, the first of which is in `first`, the last in `last`, and each further one is linked from the one before.
 */
export interface Automaton {
  /** Sets of characters, and of each position the number of the one it takes. */
  readonly sets: readonly CharSet[];
  readonly positions: readonly number[];
  readonly links: readonly Link[];
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly matchesEmpty: boolean;
}

/** From each of some positions to each of others. */
export interface Link {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** With its repetitions written out a pattern may have so many places for characters. */
export const positionsMax = 16_384;
/** So many pieces, with or without characters in them. */
const piecesMax = 4 * positionsMax;
/** And so many positions may be named in its links: rows of optional groups need very many. */
const linkedMax = 1 << 20;

export function buildAutomaton(pattern: Pattern): Automaton {
  const builder = new Builder(hasAnchors(pattern));
  const { first, last, nullable } = builder.build(pattern);
  return {
    sets: builder.sets,
    positions: builder.positions,
    links: builder.links,
    first: conditions.flatMap((when) => builder.suited(first[when] ?? [], when, isAtEnd)),
    last: conditions.flatMap((when) => builder.suited(last[when] ?? [], when, isAtBegin)),
    matchesEmpty: nullable !== 0,
  };
}

/**
 * Anchors between two characters ask that the one before (`^`) or the one after (`$`) is a newline. They are gone once the
 * automaton is built: positions that take a newline and others are two positions, and only the suited ones are linked.
 */
const isAtBegin = 1;
const isAtEnd = 2;
/** No anchors, `^`, `$`, and both. */
const conditions = [0, 1, 2, 3] as const;

/** Positions by the anchors that have to hold between them and the edge of a piece. */
type Edge = readonly (readonly number[])[];

interface Piece {
  readonly first: Edge;
  readonly last: Edge;
  /** Bit n: the piece matches nothing where the anchors of condition n hold. */
  readonly nullable: number;
}

const none: readonly number[] = [];
const noEdge: Edge = [none, none, none, none];
const nothing: Piece = { first: noEdge, last: noEdge, nullable: 1 };

class Builder {
  readonly sets: CharSet[];
  readonly positions: number[];
  readonly links: Link[];
  private readonly numbers: Map<string, number>;
  private readonly isSplit: boolean;
  private pieces: number;
  private linked: number;

  constructor(isSplit: boolean) {
    this.sets = [];
    this.positions = [];
    this.links = [];
    this.numbers = new Map();
    this.isSplit = isSplit;
    this.pieces = 0;
    this.linked = 0;
  }

  build(pattern: Pattern): Piece {
    if (++this.pieces > piecesMax) throw tooLarge();
    switch (pattern.kind) {
      case "empty":
        return nothing;
      case "begin":
        return { ...nothing, nullable: 1 << isAtBegin };
      case "end":
        return { ...nothing, nullable: 1 << isAtEnd };
      case "set":
        return this.set(pattern.set);
      case "sequence":
        return pattern.parts.reduce((before, part) => this.join(before, this.build(part)), nothing);
      case "choice": {
        const pieces = pattern.parts.map((part) => this.build(part));
        return {
          first: this.united(pieces.map(({ first }) => first)),
          last: this.united(pieces.map(({ last }) => last)),
          nullable: pieces.reduce((all, { nullable }) => all | nullable, 0),
        };
      }
      case "repeat":
        return this.repeat(pattern.part, pattern.least, pattern.most);
    }
  }

  /** Those of some positions that have to stand at a newline for a condition to hold. */
  suited(positions: readonly number[], when: number, anchor: number): readonly number[] {
    if ((when & anchor) === 0) return positions;
    return positions.filter((one) => this.sets[this.positions[one] ?? 0]?.[0] === newline);
  }

  private set(set: CharSet): Piece {
    const { breaks, others } = this.isSplit ? splitNewline(set) : { breaks: [], others: set };
    const places = [breaks, others]
      .filter(({ length }) => length > 0)
      .map((part) => this.positions.push(this.numberOf(part)) - 1);
    if (this.positions.length > positionsMax) throw tooLarge();
    const edge = [places, none, none, none];
    return { first: edge, last: edge, nullable: 0 };
  }

  private numberOf(set: CharSet): number {
    const key = set.join();
    const number = this.numbers.get(key) ?? this.sets.push(set) - 1;
    this.numbers.set(key, number);
    return number;
  }

  private repeat(part: Pattern, least: number, most: number): Piece {
    const first = this.build(part);
    // What matches nothing as it is may be left out any number of times.
    const needed = (first.nullable & 1) === 0 ? least : 0;
    const copy = (times: number): readonly Piece[] =>
      Array.from({ length: times }, (_, i) => (i === 0 ? first : this.build(part)));
    if (most === Infinity) return this.open(copy(Math.max(1, needed)), needed);
    if (needed === 0) return this.upTo(copy(most));
    const row = copy(needed).reduce((before, piece) => this.join(before, piece));
    if (needed === most) return row;
    return this.join(row, this.upTo(Array.from({ length: most - needed }, () => this.build(part))));
  }

  /** The pieces one after the other, the last of them any number of times. */
  private open(pieces: readonly Piece[], needed: number): Piece {
    const loop = pieces.at(-1) ?? nothing;
    this.link(loop.last, loop.first);
    const row = pieces.reduce((before, piece) => this.join(before, piece));
    return needed === 0 ? { ...row, nullable: 1 } : row;
  }

  /**
   * At most all of the pieces, which are copies of one. Some of the first are left out rather than of the last: so where
   * a text is in the row depends on the last time that it got into it, and not on all times.
   */
  private upTo(pieces: readonly Piece[]): Piece {
    for (const [i, piece] of pieces.entries()) {
      const before = pieces[i - 1];
      if (before !== undefined) this.link(before.last, piece.first);
    }
    const first = this.united(pieces.map((piece) => piece.first));
    return { first, last: pieces.at(-1)?.last ?? noEdge, nullable: 1 };
  }

  private join(before: Piece, after: Piece): Piece {
    this.link(before.last, after.first);
    return {
      first: this.passing(before.first, before.nullable, after.first),
      last: this.passing(after.last, after.nullable, before.last),
      nullable: bothNullable(before.nullable, after.nullable),
    };
  }

  /** An edge, and what is seen of another through a piece that can match nothing. */
  private passing(edge: Edge, nullable: number, behind: Edge): Edge {
    if (nullable === 0) return edge;
    const seen = conditions.flatMap((when) =>
      (nullable & (1 << when)) === 0
        ? []
        : conditions.map((other) => ({ when: when | other, positions: behind[other] ?? [] })),
    );
    return this.united([
      edge,
      ...seen.map(({ when, positions }) => conditions.map((one) => (one === when ? positions : []))),
    ]);
  }

  private link(last: Edge, first: Edge): void {
    for (let before = 0; before < last.length; before++) {
      if (last[before]?.length === 0) continue;
      for (let after = 0; after < first.length; after++) {
        if (first[after]?.length === 0) continue;
        const from = this.suited(last[before] ?? none, before | after, isAtBegin);
        const to = this.suited(first[after] ?? none, before | after, isAtEnd);
        if (from.length === 0 || to.length === 0) continue;
        this.links.push({ from, to });
        this.count(from.length + to.length);
      }
    }
  }

  private united(edges: readonly Edge[]): Edge {
    const [only = noEdge] = edges;
    if (edges.length === 1) return only;
    return conditions.map((when) => {
      const all = edges.flatMap((edge) => edge[when] ?? none);
      this.count(all.length);
      return all.length === 0 ? none : all;
    });
  }

  private count(positions: number): void {
    this.linked += positions;
    if (this.linked > linkedMax) throw tooLarge();
  }
}

function bothNullable(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  let both = 0;
  for (const one of conditions) {
    for (const other of conditions) {
      if ((a & (1 << one)) !== 0 && (b & (1 << other)) !== 0) both |= 1 << (one | other);
    }
  }
  return both;
}

function hasAnchors(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case "begin":
    case "end":
      return true;
    case "repeat":
      return hasAnchors(pattern.part);
    case "sequence":
    case "choice":
      return pattern.parts.some(hasAnchors);
    case "empty":
    case "set":
      return false;
  }
}
