import { parseArgs } from 'node:util';
import { CAN_EFF_FLAG, CAN_EFF_MASK, TollgateError } from '#contracts';
import { createEncoder, type EncodedFrame } from '#decoders';
import type { Command } from '../command.ts';
import { mendedText, readDatabase } from '../database.ts';

export const command: Command = {
  name: 'encode',
  summary: 'Turns signal values into a frame',
  package: 'tools',
  help: `
Usage: tollgate encode --dbc F MESSAGE [SIGNAL=VALUE]… [--raw] [--limits] [--zero] [--encoding E] [--json]

Writes the frame as cansend and candump write it: ID#DATA, ID##0DATA for CAN FD. Values are physical numbers or labels of the database.
It sends nothing.

  --dbc F     database of the message
  --raw       values are raw integers
  --limits    refuse values outside the limits that the database gives, not only those that do not fit
  --zero      signals without value are 0 (default: refused)
  --encoding E  of the database: utf-8, windows-1252 or gb18030 (default: detected)
  --json      id, ext, fd and data (hex) as one JSON object

Example:
  tollgate encode --dbc car.dbc ENGINE RPM=1800 GEAR=Reverse --zero
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        dbc: { type: 'string' },
        raw: { type: 'boolean', default: false },
        limits: { type: 'boolean', default: false },
        zero: { type: 'boolean', default: false },
        encoding: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [message, ...pairs] = positionals;
    const { dbc } = values;
    if (dbc === undefined || message === undefined) {
      throw new TollgateError('TG_CLI_USAGE', 'encode takes --dbc FILE, a MESSAGE and SIGNAL=VALUE pairs');
    }
    const { database, findings } = await readDatabase(dbc, values);
    io.err(mendedText(dbc, findings));
    const frame = createEncoder(database).encode(message, Object.fromEntries(pairs.map(pairOf)), {
      raw: values.raw,
      limits: values.limits,
      missing: values.zero ? 'zero' : 'refuse',
    });
    io.out(`${values.json ? json(frame) : text(frame)}\n`);
    return 0;
  },
};

function pairOf(pair: string): [signal: string, value: string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new TollgateError('TG_CLI_USAGE', `"${pair}" is not SIGNAL=VALUE`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function hexOf({ data }: EncodedFrame): string {
  return Buffer.from(data).toString('hex').toUpperCase();
}

function text(frame: EncodedFrame): string {
  const extended = (frame.id & CAN_EFF_FLAG) !== 0;
  const id = (frame.id & CAN_EFF_MASK)
    .toString(16)
    .toUpperCase()
    .padStart(extended ? 8 : 3, '0');
  return `${id}#${frame.fd ? '#0' : ''}${hexOf(frame)}`;
}

function json(frame: EncodedFrame): string {
  const { id, fd } = frame;
  return JSON.stringify({
    id: id & CAN_EFF_MASK,
    ext: (id & CAN_EFF_FLAG) !== 0,
    fd,
    data: hexOf(frame).toLowerCase(),
  });
}
