import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import type { Message, Signal } from '#dbc';
import type { Command, Io } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';
import { bold, table } from '../text.ts';
import { idText } from './dbc-list.ts';

export const command: Command = {
  name: 'dbc dump',
  summary: 'Shows messages bit by bit: layout, scale, limits, branches and labels',
  package: 'tools',
  help: `
Usage: tollgate dbc dump FILE [MESSAGE…] [--encoding E]

Draws the payload of each message, a row a byte and a letter a signal ("*" where several signals of other branches share a bit), and lists
its signals.

  --encoding E   utf-8, windows-1252 or gb18030 (default: detected)

Example:
  tollgate dbc dump car.dbc ENGINE
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { encoding: { type: 'string' } },
    });
    const [file, ...names] = positionals;
    if (file === undefined) throw new TollgateError('TG_CLI_USAGE', 'dbc dump takes a FILE');
    const { database, findings } = await readDatabase(file, values);
    io.err(mendedText(file, findings));
    const missing = names.filter((name) => !database.messages.some((message) => message.name === name));
    if (missing.length > 0) io.err(`${file} has no message ${missing.join(', ')}\n`);
    const messages = database.messages.filter(({ name }) => names.length === 0 || names.includes(name));
    io.out(messages.map((message) => messageText(message, io)).join('\n'));
    return missing.length > 0 ? 1 : 0;
  },
};

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** More signals than letters: the letters begin again. */
const letterOf = (i: number) => LETTERS[i % LETTERS.length]!;

function messageText(message: Message, io: Io): string {
  const { name, length, senders, comment, fd, j1939, signals } = message;
  const facts = [
    idText(message),
    `${length} byte${length === 1 ? '' : 's'}`,
    fd ? 'CAN FD' : 'classic',
    ...(j1939 ? ['J1939'] : []),
    ...(senders.length > 0 ? [`from ${senders.join(', ')}`] : []),
  ];
  const rows = signals.map((signal, i) => [
    letterOf(i),
    signal.name,
    branchText(signal),
    `${signal.start}|${signal.length}`,
    signal.byteOrder === 'intel' ? 'Intel' : 'Motorola',
    signal.valueType !== 'integer' ? signal.valueType : signal.signed ? 'signed' : 'unsigned',
    `× ${signal.factor} + ${signal.offset}`,
    signal.minimum === 0 && signal.maximum === 0 ? '' : `${signal.minimum} to ${signal.maximum}`,
    signal.unit,
  ]);
  const labels = signals
    .filter((signal) => signal.labels.length > 0)
    .map((signal) => [signal.name, signal.labels.map(({ value, text }) => `${value} ${text}`).join(', ')]);
  return [
    `${bold(name, io)}  ${facts.join(', ')}\n`,
    comment === '' ? '' : `  ${comment.replace(/\s+/g, ' ')}\n`,
    length === 0 ? '' : `\n${layout(message)}`,
    rows.length === 0 ? '' : `\n${table(rows)}`,
    labels.length === 0 ? '' : `\n${table(labels)}`,
  ].join('');
}

/** A row a byte, bit 7 first, as DBC counts bits. */
function layout({ signals, length }: Message): string {
  const cells = new Map<number, string>();
  for (const [i, signal] of signals.entries()) {
    for (const bit of bitsOf(signal)) cells.set(bit, cells.has(bit) ? '*' : letterOf(i));
  }
  const lines = Array.from({ length }, (_, byte) => {
    const bits = Array.from({ length: 8 }, (_, i) => cells.get(byte * 8 + 7 - i) ?? '.');
    return `  ${String(byte).padStart(4)}  ${bits.join(' ')}\n`;
  });
  return `  byte  7 6 5 4 3 2 1 0\n${lines.join('')}`;
}

function bitsOf({ start, length, byteOrder }: Signal): number[] {
  if (byteOrder === 'intel') return Array.from({ length }, (_, i) => start + i);
  const bits: number[] = [];
  for (let bit = start; bits.length < length; bit += bit % 8 === 0 ? 15 : -1) bits.push(bit);
  return bits;
}

function branchText({ isMultiplexer, multiplexer, multiplexRanges }: Signal): string {
  const ranges = multiplexRanges.map(({ low, high }) => (low === high ? `${low}` : `${low}–${high}`)).join(', ');
  const branch = multiplexer === null ? '' : `${multiplexer} = ${ranges}`;
  return [...(isMultiplexer ? ['multiplexer'] : []), ...(branch === '' ? [] : [branch])].join('; ');
}
