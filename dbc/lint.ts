import { checkDatabase } from './check.ts';
import type { Database, Finding, Message, Signal } from './model.ts';

/** Lengths that a CAN FD frame can have above 8 bytes, ISO 11898-1:2015 table 5. */
const FD_LENGTHS: ReadonlySet<number> = new Set([12, 16, 20, 24, 32, 48, 64]);
const MOST_BYTES = 64;
/** Longer names stand in an attribute: tools cut them. */
const NAME_LENGTH = 32;
const SHOWN = 8;

/** What is wrong with the bits, and what is only untidy: limits, labels, lengths and names that cannot mean what they say. */
export function lintDatabase(database: Database): Finding[] {
  return [...checkDatabase(database), ...untidy(database)].sort((a, b) => a.line - b.line || a.column - b.column);
}

function warning(code: Finding['code'], line: number, message: string, fix: string): Finding {
  return { severity: 'warning', code, line, column: 1, message, fix };
}

function untidy(database: Database): Finding[] {
  return [
    ...undeclaredNodes(database),
    ...database.messages.flatMap((message) => [
      ...frameLength(message),
      ...longName(message),
      ...message.signals.flatMap((signal) => [
        ...longName(signal),
        ...limits(message, signal),
        ...labels(message, signal),
        ...branch(message, signal),
      ]),
    ]),
  ];
}

/** One finding a node, where it is first named. */
function undeclaredNodes({ nodes, messages }: Database): Finding[] {
  const known = new Set(nodes.map(({ name }) => name));
  const found: Finding[] = [];
  const look = (names: readonly string[], line: number) => {
    for (const name of names) {
      if (known.size === known.add(name).size) continue;
      found.push(warning('TG_DBC_REFERENCE', line, `expected a node of BU_, found ${name}`, `Add ${name} to BU_.`));
    }
  };
  for (const message of messages) {
    look(message.senders, message.line);
    for (const signal of message.signals) look(signal.receivers, signal.line);
  }
  return found;
}

function frameLength({ name, length, line, j1939 }: Message): Finding[] {
  if (length <= 8 || FD_LENGTHS.has(length) || j1939) return [];
  const next = [...FD_LENGTHS].find((one) => one > length);
  const fix = next === undefined ? `A frame has at most ${MOST_BYTES} bytes.` : `A frame would have ${next} bytes.`;
  return [warning('TG_DBC_FIT', line, `expected a length that a frame can have for ${name}, found ${length}`, fix)];
}

function longName({ name, symbol = name, line }: Message | Signal): Finding[] {
  if (symbol.length <= NAME_LENGTH) return [];
  const text = `expected at most ${NAME_LENGTH} characters, found ${symbol.length} in ${symbol}`;
  return [warning('TG_DBC_NAME', line, text, 'Shorten it and keep the long form in SystemSignalLongSymbol.')];
}

/** Smallest and largest raw value. */
function rawRange({ length, signed }: Signal): [bigint, bigint] {
  const bits = BigInt(length);
  return signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
}

function limits(message: Message, signal: Signal): Finding[] {
  const { minimum, maximum, factor, offset, line, valueType } = signal;
  const name = `${message.name}.${signal.name}`;
  if (factor === 0)
    return [
      warning('TG_DBC_RANGE', line, `expected a factor for ${name}, found 0`, 'Every raw value means the offset.'),
    ];
  if (minimum > maximum)
    return [
      warning('TG_DBC_RANGE', line, `${name}: the minimum ${minimum} is above the maximum ${maximum}`, 'Swap them.'),
    ];
  if (valueType !== 'integer' || (minimum === 0 && maximum === 0)) return [];
  const ends = rawRange(signal).map((raw) => Number(raw) * factor + offset);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  // Limits are often rounded: half a step is no fault.
  const slack = Math.abs(factor) / 2;
  if (minimum >= low - slack && maximum <= high + slack) return [];
  const text = `${name}: the limits ${minimum} to ${maximum} reach beyond what its bits hold, ${low} to ${high}`;
  return [warning('TG_DBC_RANGE', line, text, 'Correct the limits, the factor or the length.')];
}

function labels(message: Message, signal: Signal): Finding[] {
  const name = `${message.name}.${signal.name}`;
  const [low, high] = rawRange(signal);
  const seen = new Set<bigint>();
  const double: bigint[] = [];
  const beyond: bigint[] = [];
  for (const { value } of signal.labels) {
    if (seen.size === seen.add(value).size) double.push(value);
    if (signal.valueType === 'integer' && (value < low || value > high)) beyond.push(value);
  }
  const found: Finding[] = [];
  if (double.length > 0) {
    const text = `${name}: two labels for ${double.slice(0, SHOWN).join(', ')}`;
    found.push(warning('TG_DBC_DUPLICATE', signal.line, text, 'Remove one of them.'));
  }
  if (beyond.length > 0) {
    const text = `${name}: labels for ${beyond.slice(0, SHOWN).join(', ')}, its bits hold ${low} to ${high}`;
    found.push(warning('TG_DBC_RANGE', signal.line, text, 'Remove them, or correct length or sign.'));
  }
  return found;
}

function branch(message: Message, signal: Signal): Finding[] {
  const multiplexer = message.signals.find(({ name }) => name === signal.multiplexer);
  if (multiplexer === undefined || multiplexer.length > 52) return [];
  const [, high] = rawRange(multiplexer);
  if (signal.multiplexRanges.some((range) => range.low <= Number(high) && range.low <= range.high)) return [];
  const text = `${message.name}.${signal.name} is there for values that ${multiplexer.name} cannot hold (0 to ${high})`;
  return [warning('TG_DBC_MULTIPLEX', signal.line, text, 'Correct the mark, or the length of the multiplexer.')];
}
