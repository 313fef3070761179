import { falcoSnippet, type Position, type SourceText } from "./source-text.ts";

export interface Location {
  readonly item_type: string;
  readonly item_name: string;
  readonly position: Position;
}

/** Where people should look: the line to open, the item it belongs to, and the text with a caret below the place. */
export interface Shown {
  readonly place: Position;
  readonly item: { readonly type: string; readonly name: string } | undefined;
  readonly snippet: string;
}

/** A place inside a condition, which has lines and columns of its own. */
export interface Inner {
  /** The text that was read: unfolded from YAML, with its lists written out. */
  readonly text: SourceText;
  readonly at: number;
  /** The text Falco names and shows: of a problem found after parsing the one before lists were written into it. */
  readonly quoted: string;
}

/** A place in a file, as the way down to it. Positions are worked out only when they are asked for. */
export class Context {
  readonly source: SourceText;
  private readonly parent: Context | undefined;
  private readonly type: string;
  private readonly name: string;
  private readonly at: number;
  private readonly inner: Inner | undefined;
  private readonly better: Context | undefined;

  private constructor(
    source: SourceText,
    parent: Context | undefined,
    own: { type: string; name: string; at: number; inner?: Inner; better?: Context | undefined },
  ) {
    this.source = source;
    this.parent = parent;
    this.type = own.type;
    this.name = own.name;
    this.at = own.at;
    this.inner = own.inner;
    this.better = own.better;
  }

  /** The whole file. */
  static file(source: SourceText): Context {
    return new Context(source, undefined, { type: "rules content", name: "", at: 0 });
  }

  /** The file that this place is in. */
  get root(): Context {
    return Context.file(this.source);
  }

  child(type: string, name: string, at: number): Context {
    return new Context(this.source, this, { type, name, at });
  }

  /**
   * A place inside a condition. Falco reports it as the condition's place moved by the place in the text, and never
   * where an appended part or a macro stands; people are shown the place `better` instead, when there is one.
   */
  inCondition(inner: Inner, better?: Context): Context {
    return new Context(this.source, this, {
      type: "condition expression",
      name: "",
      at: this.at,
      inner,
      better: better?.inCondition(inner),
    });
  }

  /** The same place for Falco's report, for people another one. */
  seenAs(better: Context): Context {
    const { type, name, at, inner } = this;
    return new Context(this.source, this.parent, {
      type,
      name,
      at,
      better,
      ...(inner === undefined ? {} : { inner }),
    });
  }

  /** From the file down to the place itself. */
  locations(): readonly Location[] {
    const here = { item_type: this.type, item_name: this.name, position: this.position() };
    return [...(this.parent?.locations() ?? []), here];
  }

  /** The text around the place, as Falco prints it. */
  snippet(): string {
    if (this.inner === undefined) return falcoSnippet(this.source.text, this.at);
    return falcoSnippet(this.inner.quoted, this.position().offset);
  }

  shown(): Shown {
    if (this.better !== undefined) return this.better.shown();
    const { inner } = this;
    const snippet = (inner?.text ?? this.source).caret(inner?.at ?? this.at);
    return { place: this.source.position(this.at), item: this.item(), snippet };
  }

  private item(): Shown["item"] {
    if (this.name !== "") return { type: this.type, name: this.name };
    return this.parent?.item();
  }

  private position(): Position {
    const { inner } = this;
    const outer = this.source.filePosition(this.at);
    if (inner === undefined) return outer;
    const own = inner.text.position(inner.at);
    return {
      name: nameOf(inner.quoted),
      line: outer.line + own.line + 1,
      column: outer.column + own.column + 1,
      offset: outer.offset + own.offset,
    };
  }
}

/** The start of a condition in quotes stands in for the name of a file. */
function nameOf(condition: string): string {
  const text = condition.length > 20 ? `${condition.slice(0, 17)}...` : condition;
  return `"${text.replaceAll(/[\r\n]/g, " ")}"`;
}
