/**
 * What a disk may hold after a power cut: all that was synced, and of the rest any part. Model: per file a durable image
 * and pending writes in their order; a sync makes durable what was written before it began. At a cut each pending
 * operation is there or not, and a write may be torn into 512-byte sectors. Names are durable when the folder was synced.
 */
const OP = { create: 1, write: 2, truncate: 3, syncBegin: 4, syncEnd: 5, unlink: 6, rename: 7, dirBegin: 8, dirEnd: 9 };
const HEADER_BYTES = 24;
const SECTOR_BYTES = 512;
/** Share of the pending operations of a file that arrived. */
const SHARES = [0, 0.1, 0.5, 0.9, 1];
/** File of the workload in which it notes what the store promised. */
const PROMISES = 'promises';
/** Share of writes that are torn, beside the last one. */
const TORN = 0.2;

export interface Event {
  readonly op: number;
  readonly inode: bigint;
  readonly offset: number;
  readonly bytes: Buffer;
}

export function readRecord(record: Buffer): Event[] {
  const events: Event[] = [];
  for (let at = 0; at + HEADER_BYTES <= record.length; ) {
    const length = record.readUInt32LE(at + 4);
    const bytes = record.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
    const offset = Number(record.readBigUInt64LE(at + 16));
    events.push({ op: record.readUInt32LE(at), inode: record.readBigUInt64LE(at + 8), offset, bytes });
    at += HEADER_BYTES + length;
  }
  return events;
}

interface FileState {
  durable: Buffer;
  pending: Event[];
  /** Number of pending operations when the sync that runs began. */
  began: number;
}

export interface Disk {
  readonly files: ReadonlyMap<string, Buffer>;
  /** Operations that were not there yet, or only in part. */
  readonly dropped: number;
}

export class Replayer {
  readonly #events: readonly Event[];
  readonly #ignored: (event: Event, name: string) => boolean;
  readonly #inodes = new Map<bigint, FileState>();
  readonly #inodeNames = new Map<bigint, string>();
  readonly #durableNames = new Map<string, bigint>();
  #pendingNames: Event[] = [];
  #namesBegan = 0;
  #at = 0;
  /** All that was written to the file of promises so far. */
  promised = '';

  /** @param ignored syncs that the disk of a control run does not carry out */
  constructor(events: readonly Event[], ignored: (event: Event, name: string) => boolean = () => false) {
    this.#events = events;
    this.#ignored = ignored;
  }

  /** Plays on until `point` events have happened. */
  advance(point: number): void {
    for (; this.#at < point; this.#at++) this.#play(this.#events[this.#at]!);
  }

  #play(event: Event): void {
    const { op, inode, bytes } = event;
    if (op === OP.create) {
      this.#inodes.set(inode, { durable: Buffer.alloc(0), pending: [], began: 0 });
      this.#inodeNames.set(inode, bytes.toString());
    }
    if (op === OP.create || op === OP.unlink || op === OP.rename) this.#pendingNames.push(event);
    const file = this.#inodes.get(inode);
    const name = this.#inodeNames.get(inode) ?? '';
    if (op === OP.write && name === PROMISES) this.promised += bytes.toString();
    if (op === OP.write || op === OP.truncate) file!.pending.push(event);
    if (this.#ignored(event, name)) return;
    if (op === OP.syncBegin) file!.began = file!.pending.length;
    if (op === OP.syncEnd) {
      for (const one of file!.pending.splice(0, file!.began)) file!.durable = applied(file!.durable, one);
      file!.began = 0;
    }
    if (op === OP.dirBegin) this.#namesBegan = this.#pendingNames.length;
    if (op === OP.dirEnd)
      for (const one of this.#pendingNames.splice(0, this.#namesBegan)) rename(this.#durableNames, one);
  }

  /** What lies on the disk after a cut here. */
  cut(random: () => number): Disk {
    let dropped = 0;
    const names = new Map(this.#durableNames);
    const share = SHARES[Math.floor(random() * SHARES.length)]!;
    for (const event of this.#pendingNames) {
      if (random() < share) rename(names, event);
      else dropped++;
    }
    const files = new Map<string, Buffer>();
    for (const [name, inode] of names) {
      // The promises are the rig's own; what was promised is read from the record.
      if (name === PROMISES) continue;
      const { durable, pending } = this.#inodes.get(inode)!;
      const kept = SHARES[Math.floor(random() * SHARES.length)]!;
      const arrived = pending.filter(() => random() < kept);
      dropped += pending.length - arrived.length;
      let image: Buffer = Buffer.from(durable);
      for (const [index, event] of arrived.entries()) {
        const torn = event.op === OP.write && kept < 1 && (index === arrived.length - 1 || random() < TORN);
        if (torn) dropped++;
        image = torn ? tear(image, event, random) : applied(image, event);
      }
      files.set(name, image);
    }
    return { files, dropped };
  }

  /** The files when nothing is lost: must be what the process left. */
  whole(): Map<string, Buffer> {
    const names = new Map(this.#durableNames);
    for (const event of this.#pendingNames) rename(names, event);
    const image = (inode: bigint) => {
      const { durable, pending } = this.#inodes.get(inode)!;
      return pending.reduce(applied, Buffer.from(durable));
    };
    return new Map([...names].map(([name, inode]) => [name, image(inode)]));
  }
}

function rename(names: Map<string, bigint>, { op, inode, bytes }: Event): void {
  const text = bytes.toString();
  if (op === OP.create) names.set(text, inode);
  else if (op === OP.unlink) names.delete(text);
  else {
    const [from, to] = text.split('/') as [string, string];
    const moved = names.get(from);
    names.delete(from);
    if (moved !== undefined && to !== '') names.set(to, moved);
  }
}

function applied(image: Buffer, { op, offset, bytes }: Event): Buffer {
  if (op === OP.truncate) return sized(image, offset);
  const grown = sized(image, Math.max(image.length, offset + bytes.length));
  bytes.copy(grown, offset);
  return grown;
}

/** Holes read as zeros. */
function sized(image: Buffer, size: number): Buffer {
  if (size <= image.length) return image.subarray(0, size);
  return Buffer.concat([image, Buffer.alloc(size - image.length)]);
}

/** Some sectors of a write, at the disk's own boundaries. */
function tear(image: Buffer, event: Event, random: () => number): Buffer {
  let torn = image;
  const end = event.offset + event.bytes.length;
  for (let at = event.offset; at < end; ) {
    const next = Math.min(end, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    const bytes = event.bytes.subarray(at - event.offset, next - event.offset);
    if (random() < 0.5) torn = applied(torn, { ...event, offset: at, bytes });
    at = next;
  }
  return torn;
}
