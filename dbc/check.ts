import type { Database, Finding, Message, Signal } from './model.ts';

/** Beyond this many signals in one message the pairs are too many to look at. */
const MOST_SIGNALS = 2048;

/** What is wrong with the bits of a database: signals that do not fit, that overlap, that nothing can decode. */
export function checkDatabase(database: Database, columnOf: (item: Message | Signal) => number = () => 1): Finding[] {
  const found: Finding[] = [];
  for (const message of database.messages) {
    for (const signal of message.signals) {
      const finding = misfit(message, signal, columnOf);
      if (finding !== null) found.push(finding);
    }
    for (const finding of overlaps(message, columnOf)) found.push(finding);
  }
  return found;
}

/** Bits from the start of the payload, most significant bit of byte 0 first, as a Motorola signal runs. */
function motorolaPosition(start: number): number {
  return 8 * Math.floor(start / 8) + (7 - (start % 8));
}

/** Bytes that a frame needs for the signal. */
export function bytesNeeded({ start, length, byteOrder }: Signal): number {
  const first = byteOrder === 'intel' ? start : motorolaPosition(start);
  return Math.ceil((first + length) / 8);
}

function misfit(message: Message, signal: Signal, columnOf: (item: Signal) => number): Finding | null {
  const { name, length, line } = signal;
  const finding = (text: string, fix: string): Finding => ({
    severity: 'error',
    code: 'TG_DBC_FIT',
    line,
    column: columnOf(signal),
    message: text,
    fix,
  });
  if (length < 1 || length > 64)
    return finding(`expected 1 to 64 bits for ${name}, found ${length}`, 'Correct its length.');
  const needed = bytesNeeded(signal);
  if (needed <= message.length) return null;
  return finding(
    `signal ${name} needs ${needed} bytes, message ${message.name} has ${message.length}`,
    'Correct start bit, length or byte order, or the length of the message.',
  );
}

/** The bytes that a signal touches, and which of their bits. */
interface Bits {
  readonly signal: Signal;
  readonly firstByte: number;
  /** A mask a byte, from `firstByte`. */
  readonly masks: readonly number[];
  readonly conditions: Conditions;
}

/** By multiplexer: the values of which it must hold one. */
type Conditions = ReadonlyMap<string, Signal['multiplexRanges']>;
const ALWAYS: Conditions = new Map();

function bitsOf(signal: Signal, byName: ReadonlyMap<string, Signal>): Bits {
  const { start, length, byteOrder } = signal;
  const first = byteOrder === 'intel' ? start : motorolaPosition(start);
  const firstByte = Math.floor(first / 8);
  const masks: number[] = [];
  const end = first + length;
  for (let byte = firstByte; byte * 8 < end; byte++) {
    const from = Math.max(first - byte * 8, 0);
    const to = Math.min(end - byte * 8, 8);
    const low = byteOrder === 'intel' ? from : 8 - to;
    masks.push(((1 << (to - from)) - 1) << low);
  }
  return { signal, firstByte, masks, conditions: conditionsOf(signal, byName) };
}

function share(a: Bits, b: Bits): boolean {
  const shift = a.firstByte - b.firstByte;
  if (shift >= b.masks.length || -shift >= a.masks.length) return false;
  return a.masks.some((mask, i) => (mask & (b.masks[i + shift] ?? 0)) !== 0);
}

/** Adds the bits to those that are taken. @returns whether none of them was */
function claim(taken: number[], { firstByte, masks }: Bits): boolean {
  let isFree = true;
  for (let i = 0; i < masks.length; i++) {
    const before = taken[firstByte + i] ?? 0;
    if ((before & masks[i]!) !== 0) isFree = false;
    taken[firstByte + i] = before | masks[i]!;
  }
  return isFree;
}

function overlaps(message: Message, columnOf: (item: Message | Signal) => number): Finding[] {
  if (message.signals.length > MOST_SIGNALS) {
    return [
      {
        severity: 'warning',
        code: 'TG_DBC_OVERLAP',
        line: message.line,
        column: columnOf(message),
        message: `expected at most ${MOST_SIGNALS} signals in ${message.name}, found ${message.signals.length}`,
        fix: 'Divide the message; whether its signals overlap was not looked at.',
      },
    ];
  }
  const byName = new Map(message.signals.map((signal) => [signal.name, signal]));
  const seen: Bits[] = [];
  const found: Finding[] = [];
  /** Bits that some signal before has, a byte each: who finds its own free need not look at each of them. */
  const taken: number[] = [];
  for (const signal of message.signals) {
    if (signal.length < 1 || signal.length > 64) continue;
    const bits = bitsOf(signal, byName);
    const isFree = claim(taken, bits);
    const other = isFree ? undefined : seen.find((one) => share(bits, one) && !exclusive(bits, one))?.signal;
    seen.push(bits);
    if (other === undefined) continue;
    found.push({
      severity: 'error',
      code: 'TG_DBC_OVERLAP',
      line: signal.line,
      column: columnOf(signal),
      message: `signal ${signal.name} of ${message.name} shares bits with ${other.name} of line ${other.line}`,
      fix: 'Correct a start bit, a length or a multiplexer; both are decoded as written.',
    });
  }
  return found;
}

/** Never in one frame: somewhere up their branches one multiplexer would need two values. */
function exclusive(a: Bits, b: Bits): boolean {
  for (const [multiplexer, ranges] of a.conditions) {
    const others = b.conditions.get(multiplexer);
    if (others === undefined) continue;
    if (ranges.every((one) => others.every((two) => one.high < two.low || two.high < one.low))) return true;
  }
  return false;
}

function conditionsOf(signal: Signal, byName: ReadonlyMap<string, Signal>): Conditions {
  if (signal.multiplexer === null) return ALWAYS;
  const conditions = new Map<string, Signal['multiplexRanges']>();
  const seen = new Set<string>();
  for (
    let one: Signal | undefined = signal;
    one?.multiplexer != null && !seen.has(one.name);
    one = byName.get(one.multiplexer)
  ) {
    seen.add(one.name);
    conditions.set(one.multiplexer, one.multiplexRanges);
  }
  return conditions;
}
