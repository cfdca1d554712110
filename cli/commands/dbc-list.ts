import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import type { Message } from '#dbc';
import type { Command } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';
import { table } from '../text.ts';

export const command: Command = {
  name: 'dbc list',
  summary: 'Lists the messages of a database, or the signals of some of them',
  package: 'tools',
  help: `
Usage: tollgate dbc list FILE [MESSAGE…] [--encoding E] [--json]

Lists id, name, length, cycle time, signals and senders of each message; with MESSAGE names, the signals of those.

  --encoding E   utf-8, windows-1252 or gb18030 (default: detected)
  --json         one JSON object a message

Example:
  tollgate dbc list car.dbc
  tollgate dbc list car.dbc ENGINE
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { encoding: { type: 'string' }, json: { type: 'boolean', default: false } },
    });
    const [file, ...names] = positionals;
    if (file === undefined) throw new TollgateError('TG_CLI_USAGE', 'dbc list takes a FILE');
    const { database, findings } = await readDatabase(file, values);
    io.err(mendedText(file, findings));
    const missing = names.filter((name) => !database.messages.some((message) => message.name === name));
    if (missing.length > 0) io.err(`${file} has no message ${missing.join(', ')}\n`);
    const messages = database.messages.filter(({ name }) => names.length === 0 || names.includes(name));
    if (values.json) io.out(messages.map((message) => `${JSON.stringify(asJson(message))}\n`).join(''));
    else if (names.length === 0) io.out(table(messages.map(row)));
    else for (const message of messages) io.out(signalList(message));
    return missing.length > 0 ? 1 : 0;
  },
};

/** `0x110`, eight digits for 29 bits. */
export function idText({ id, extended }: Message): string {
  return `0x${id
    .toString(16)
    .toUpperCase()
    .padStart(extended ? 8 : 3, '0')}`;
}

function cycleMs({ attributes }: Message): number | null {
  const value = attributes.get('GenMsgCycleTime');
  return typeof value === 'number' && value > 0 ? value : null;
}

function row(message: Message): string[] {
  const { name, length, signals, senders, fd } = message;
  const cycle = cycleMs(message);
  return [
    idText(message),
    name,
    `${length} byte${length === 1 ? '' : 's'}${fd ? ' FD' : ''}`,
    `${signals.length} signal${signals.length === 1 ? '' : 's'}`,
    cycle === null ? '' : `${cycle} ms`,
    senders.join(', '),
  ];
}

function signalList(message: Message): string {
  const rows = message.signals.map(({ name, unit, comment }) => [name, unit, comment.replace(/\s+/g, ' ')]);
  return `${message.name} (${idText(message)})\n${table(rows)}`;
}

function asJson(message: Message) {
  const { name, id, extended, fd, length, senders, signals } = message;
  return {
    name,
    id,
    ext: extended,
    fd,
    length,
    cycleMs: cycleMs(message),
    senders,
    signals: signals.map((s) => s.name),
  };
}
