import type { Database, Finding, Message, Signal } from './model.ts';

/** What is wrong with a database whatever its text: signals that do not fit, that overlap, that nothing can decode. */
export function checkDatabase(database: Database): Finding[] {
  return database.messages.flatMap((message) => [
    ...message.signals.flatMap((signal) => misfit(message, signal)),
    ...overlaps(message),
  ]);
}

/** `checkDatabase`, and what is only untidy: limits that cannot be, labels that say one thing twice. */
export function lintDatabase(database: Database): Finding[] {
  const untidy = database.messages.flatMap((message) =>
    message.signals.flatMap((signal) => [...limits(message, signal), ...doubleLabels(message, signal)]),
  );
  return [...checkDatabase(database), ...untidy].sort((a, b) => a.line - b.line || a.column - b.column);
}

function finding(
  code: Finding['code'],
  severity: Finding['severity'],
  line: number,
  message: string,
  fix: string,
): Finding {
  return { severity, code, line, column: 1, message, fix };
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

function misfit(message: Message, signal: Signal): Finding[] {
  if (signal.length < 1 || signal.length > 64) {
    return [
      finding(
        'TG_DBC_FIT',
        'error',
        signal.line,
        `signal ${signal.name} has ${signal.length} bits, not 1 to 64`,
        'Correct its length.',
      ),
    ];
  }
  const needed = bytesNeeded(signal);
  if (needed <= message.length) return [];
  const text = `signal ${signal.name} needs ${needed} bytes, message ${message.name} has ${message.length}`;
  return [
    finding(
      'TG_DBC_FIT',
      'error',
      signal.line,
      text,
      'Correct start bit, length or byte order, or the length of the message.',
    ),
  ];
}

/** Bit numbers in the DBC's own counting: byte · 8 + bit. */
function bitsOf({ start, length, byteOrder }: Signal): number[] {
  if (byteOrder === 'intel') return Array.from({ length }, (_, i) => start + i);
  const first = motorolaPosition(start);
  return Array.from({ length }, (_, i) => 8 * Math.floor((first + i) / 8) + (7 - ((first + i) % 8)));
}

function overlaps(message: Message): Finding[] {
  const byName = new Map(message.signals.map((signal) => [signal.name, signal]));
  const owners = new Map<number, Signal[]>();
  const told = new Set<string>();
  const found: Finding[] = [];
  for (const signal of message.signals) {
    if (signal.length < 1 || signal.length > 64) continue;
    for (const bit of bitsOf(signal)) {
      const others = owners.get(bit) ?? [];
      for (const other of others) {
        const pair = `${other.name} ${signal.name}`;
        if (told.has(pair) || exclusive(signal, other, byName)) continue;
        told.add(pair);
        const text = `signals ${other.name} and ${signal.name} of ${message.name} share bits`;
        found.push(
          finding(
            'TG_DBC_OVERLAP',
            'error',
            signal.line,
            text,
            'Correct a start bit or a length; both are decoded as written.',
          ),
        );
      }
      owners.set(bit, [...others, signal]);
    }
  }
  return found;
}

/** Never in one frame: somewhere up their branches one multiplexer would need two values. */
function exclusive(a: Signal, b: Signal, byName: ReadonlyMap<string, Signal>): boolean {
  const conditions = conditionsOf(a, byName);
  return conditionsOf(b, byName).some(({ multiplexer, ranges }) =>
    conditions.some(
      (other) =>
        other.multiplexer === multiplexer &&
        ranges.every((one) => other.ranges.every((two) => one.high < two.low || two.high < one.low)),
    ),
  );
}

function conditionsOf(signal: Signal, byName: ReadonlyMap<string, Signal>) {
  const conditions: { multiplexer: string; ranges: Signal['multiplexRanges'] }[] = [];
  const seen = new Set<string>();
  for (
    let one: Signal | undefined = signal;
    one?.multiplexer != null && !seen.has(one.name);
    one = byName.get(one.multiplexer)
  ) {
    seen.add(one.name);
    conditions.push({ multiplexer: one.multiplexer, ranges: one.multiplexRanges });
  }
  return conditions;
}

function limits(message: Message, { name, minimum, maximum, line }: Signal): Finding[] {
  if (minimum <= maximum) return [];
  return [
    finding(
      'TG_DBC_FIT',
      'warning',
      line,
      `${message.name}.${name}: the minimum ${minimum} is above the maximum ${maximum}`,
      'Swap them.',
    ),
  ];
}

function doubleLabels(message: Message, { name, labels, line }: Signal): Finding[] {
  const values = new Set<bigint>();
  const double = labels.filter(({ value }) => values.size === values.add(value).size);
  return double.map(({ value }) =>
    finding(
      'TG_DBC_DUPLICATE',
      'warning',
      line,
      `${message.name}.${name}: value ${value} has two labels`,
      'Remove one of them.',
    ),
  );
}
