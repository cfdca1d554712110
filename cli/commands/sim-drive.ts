import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { databaseOf, vehicleDbc, vehicleFrames } from '#sim/vehicle';
import type { Command, Io } from '../command.ts';
import { count } from '../text.ts';

const LONGEST_SECONDS = 86_400;

export const command: Command = {
  name: 'sim drive',
  summary: 'Writes a candump log of a drive of the simulated car',
  package: 'tools',
  help: `
Usage: tollgate sim drive [--seconds N] [--seed N] [--out FILE]

Drives the simulated electric car and writes its bus as candump -L does. The same seed gives the same log, byte for byte; its database is
dbc/databases/tollgate-vehicle.dbc.

  --seconds N   length of the drive, 1 to ${LONGEST_SECONDS} (default: 60)
  --seed N      whole number from 0 (default: 1)
  --out FILE    where to write (default: standard output)

Example:
  tollgate sim drive --seconds 120 --seed 7 --out drive.log
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string', default: '60' },
        seed: { type: 'string', default: '1' },
        out: { type: 'string' },
      },
    });
    const seconds = whole('--seconds', values.seconds, 1, LONGEST_SECONDS);
    const seed = whole('--seed', values.seed, 0, 0xffff_ffff);
    const lines = counted(vehicleFrames(seed, seconds, await databaseOf(vehicleDbc)), seconds, io);
    const { out } = values;
    if (out === undefined) {
      for (const text of inBlocks(lines)) {
        if (io.signal.aborted) break;
        io.out(text);
        await new Promise<void>((done) => setImmediate(done));
      }
      return 0;
    }
    await pipeline(Readable.from(inBlocks(lines)), createWriteStream(out), { signal: io.signal }).catch(
      (cause: Error) => {
        throw new TollgateError('TG_CLI_FILE', `cannot be written: ${cause.message}`, { place: { file: out }, cause });
      },
    );
    io.err(`${count(lines.total)} frames in ${out}\n`);
    return 0;
  },
};

/** Lines a block: a write a line would cost more than the drive. */
const BLOCK_LINES = 1024;
const PROGRESS_MS = 2000;

function* inBlocks(lines: Iterable<string>): Generator<string> {
  let block: string[] = [];
  for (const line of lines) {
    if (block.push(line) < BLOCK_LINES) continue;
    yield block.join('');
    block = [];
  }
  yield block.join('');
}

/** Counts lines and says every two seconds how many there are. */
function counted(lines: Iterable<string>, seconds: number, io: Io): Iterable<string> & { readonly total: number } {
  let total = 0;
  return {
    get total() {
      return total;
    },
    *[Symbol.iterator]() {
      let toldMs = performance.now();
      for (const line of lines) {
        total++;
        if (io.interactive && performance.now() - toldMs > PROGRESS_MS) {
          toldMs = performance.now();
          io.err(`${count(total)} frames of a drive of ${seconds} s\n`);
        }
        yield line;
      }
    },
  };
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new TollgateError('TG_CLI_USAGE', `${option} takes a whole number from ${least} to ${most}, not "${text}"`);
}
