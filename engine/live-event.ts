import type { EventView } from "./fields/field.ts";
import { decodedTime } from "./plain-time.ts";
import type { JsonBytes } from "./json/bytes.ts";
import type { JsonDocument } from "./json/document.ts";
import { valueText } from "./json/text.ts";

/** What stays the same for all events of a detector. */
interface EventFacts {
  readonly hostname: string;
  readonly utcOffsetSeconds: number;
  readonly statics?: Readonly<Record<string, string>> | undefined;
}

/**
 * The event that is looked at. There is one for all events, so that an event nobody alerts on leaves nothing behind, and its
 * time is worked out only for whoever asks.
 */
export class LiveEvent implements EventView {
  tape: JsonDocument;
  root: number;
  isAudit: boolean;
  readonly source: string;
  readonly flat: { array: number };
  readonly hostname: string;
  readonly utcOffsetSeconds: number;
  readonly statics: Readonly<Record<string, string>>;
  private stampNode: number;
  private time: bigint | undefined;
  private firstTime: bigint | undefined;
  private count: number;

  constructor(tape: JsonDocument, { hostname, utcOffsetSeconds, statics = {} }: EventFacts) {
    this.tape = tape;
    this.root = 0;
    this.isAudit = false;
    this.source = "k8s_audit";
    this.flat = { array: -1 };
    this.hostname = hostname;
    this.utcOffsetSeconds = utcOffsetSeconds;
    this.statics = statics;
    this.stampNode = -1;
    this.time = 0n;
    this.firstTime = undefined;
    this.count = 0;
  }

  /** Goes on to an event whose time is known. */
  take(tape: JsonDocument, root: number, timeNs: bigint): void {
    this.tape = tape;
    this.root = root;
    this.flat.array = -1;
    this.isAudit = tape.member(root, "auditID") >= 0;
    this.time = timeNs;
    this.firstTime ??= timeNs;
    this.count++;
  }

  /** Goes on to an event whose time has been checked and stands at a node. */
  takeUnread(tape: JsonBytes, root: number, stampNode: number): void {
    this.tape = tape;
    this.root = root;
    this.flat.array = -1;
    this.isAudit = tape.member(root, "auditID") >= 0;
    this.stampNode = stampNode;
    this.time = undefined;
    this.firstTime ??= this.timeNs;
    this.count++;
  }

  /** The same event, read where some of its values are hidden. */
  readFrom(tape: JsonDocument, root: number): LiveEvent {
    const other = new LiveEvent(tape, this);
    other.root = root;
    other.isAudit = tape.member(root, "auditID") >= 0;
    other.time = this.timeNs;
    other.firstTime = this.firstTime;
    other.count = this.count;
    return other;
  }

  get timeNs(): bigint {
    this.time ??= decodedTime(valueText(this.tape, this.stampNode));
    return this.time;
  }

  get firstTimeNs(): bigint {
    return this.firstTime ?? this.timeNs;
  }

  get number(): bigint {
    return BigInt(this.count);
  }
}
