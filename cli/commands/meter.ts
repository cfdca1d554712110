import { createPublicKey } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BookEntry, bookOf, readBook, sameKey } from '#agent/meter/index';
import { type MeterRow, readStore } from '#agent/store/index';
import { STORE_FILE } from '#agent/unit';
import { TollgateError } from '#contracts';
import { TYPE_ECDSA, type VerifierKey } from '#ledger';
import { bodyHash, decodeLeaf, LEAF_METER, METER_START, type MeterRecord, meterHash, openMeter } from '#wire';
import type { Command, Io } from '../command.ts';
import { keysOf, openLedger } from '../ledgers.ts';
import { readBytes } from '../policies.ts';
import { bold, bytes, count, table } from '../text.ts';

export const command: Command = {
  name: 'meter',
  summary: 'Shows what left, counted exactly by agreement, recipient, purpose, action and hour',
  package: 'unit',
  help: `
Usage: tollgate meter [--state DIR] [--agreement UID] [--recipient DID] [--purpose ID] [--csv | --json]
       tollgate meter --verify FILE --keys DIR [--state DIR]

One row for each agreement, recipient, purpose, action and hour: seconds active, decisions of the gate, records, values, sealed bytes, values
by signal; operations, duties and the hashes of agreement and operations, as far as the hour is sealed. Counters commit with the rows they count, so they
are exact whatever was cut when. Hours that are over are sealed into meter records, signed by the ledger key, each with the hash of the one
before, in meter.cbor of the state folder. A running agent is not disturbed.

  --state DIR      state folder of the unit (default: ./state)
  --agreement UID  only rows of this agreement; likewise --recipient, --purpose
  --csv            rows as comma-separated values
  --json           one JSON object a row and line; with --verify the verdict
  --verify FILE    verifies a meter.cbor: signatures, chain and order; with --state also that each record has its leaf in the ledger and that
                   none counts more than the store
  --keys DIR       keys of the unit, or a recipient's units.json

Exit code: 0 done, 1 the file does not verify, 2 bad usage or input.

Example:
  tollgate meter --state state --csv > meter.csv
  tollgate meter --verify state/meter.cbor --keys keys/unit --state state
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        state: { type: 'string' },
        agreement: { type: 'string' },
        recipient: { type: 'string' },
        purpose: { type: 'string' },
        csv: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        verify: { type: 'string' },
        keys: { type: 'string' },
      },
    });
    if (values.verify !== undefined) {
      if (values.keys === undefined) throw new TollgateError('TG_CLI_USAGE', 'meter --verify needs --keys');
      const verdict = await verified(values.verify, await keysOf(values.keys), values.state ?? null);
      io.out(values.json ? `${JSON.stringify(verdict)}\n` : verdictText(values.verify, verdict));
      return verdict.problems.length === 0 ? 0 : 1;
    }
    const state = values.state ?? 'state';
    const asked = (row: MeterRow) =>
      (['agreement', 'recipient', 'purpose'] as const).every(
        (key) => values[key] === undefined || values[key] === row[key],
      );
    const entries = await bookOf(state);
    const rows = rowsOf(state)
      .filter(asked)
      .map((row) => viewOf(row, entries));
    if (values.json) for (const row of rows) io.out(`${JSON.stringify(row)}\n`);
    else io.out(values.csv ? csvOf(rows) : rowsText(rows, io));
    return 0;
  },
};

/** A row of the store with what its sealed parts say beside it. */
interface View extends MeterRow {
  /** Start of the hour, ISO 8601; null where UTC was unknown. */
  readonly from: string | null;
  readonly secondsActive: number;
  readonly allowed: number;
  readonly transforms: Readonly<Record<string, number>>;
  readonly duties: Readonly<Record<string, number>>;
  readonly algorithms: Readonly<Record<string, number>>;
  readonly policies: Readonly<Record<string, number>>;
  /** Records of the row that are in sealed parts. */
  readonly sealedRecords: number;
}

const MS_PER_HOUR = 3_600_000;

function rowsOf(state: string): readonly MeterRow[] {
  const store = readStore(join(state, STORE_FILE));
  try {
    return store.meter();
  } finally {
    store.close();
  }
}

function viewOf(row: MeterRow, entries: readonly BookEntry[]): View {
  const parts = entries.map(({ record }) => record).filter((record) => sameKey(record, row));
  const sum = (of: (record: MeterRecord) => number) => parts.reduce((total, one) => total + of(one), 0);
  const map = (of: (record: MeterRecord) => ReadonlyMap<string, number>) => {
    const all: Record<string, number> = {};
    for (const one of parts) for (const [key, value] of of(one)) all[key] = (all[key] ?? 0) + value;
    return all;
  };
  return {
    ...row,
    from: row.hour < 0 ? null : new Date(row.hour * MS_PER_HOUR).toISOString(),
    secondsActive: sum(({ activeMs }) => activeMs) / 1000,
    allowed: sum(({ allowed }) => allowed),
    transforms: map(({ transforms }) => transforms),
    duties: map(({ duties }) => duties),
    algorithms: map(({ algorithms }) => algorithms),
    policies: map(({ policies }) => policies),
    sealedRecords: sum(({ records }) => records),
  };
}

const COLUMNS = [
  'hour',
  'from',
  'agreement',
  'recipient',
  'purpose',
  'action',
  'secondsActive',
  'allowed',
  'denied',
] as const;
const MORE = ['records', 'samples', 'bytes', 'sealedRecords'] as const;
const MAPS = ['fields', 'transforms', 'duties', 'algorithms', 'policies'] as const;

/** RFC 4180; maps as `name=count` joined by `; `. A cell never begins a formula. */
function csvOf(rows: readonly View[]): string {
  const cell = (value: unknown) => {
    const text = value === null ? '' : String(value);
    const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const joined = (map: Readonly<Record<string, number>>) =>
    Object.entries(map)
      .map(([key, value]) => `${key}=${value}`)
      .join('; ');
  const lines = rows.map((row) => [
    ...COLUMNS.map((key) => row[key]),
    ...MORE.map((key) => row[key]),
    ...MAPS.map((key) => joined(row[key])),
  ]);
  return [[...COLUMNS, ...MORE, ...MAPS], ...lines].map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

function rowsText(rows: readonly View[], io: Io): string {
  if (rows.length === 0) return 'Nothing was counted.\n';
  return rows
    .map((row) => {
      const head = `${row.from ?? `hour ${-1 - row.hour} since the start, UTC unknown`}  ${row.recipient} for ${row.purpose} (${row.action})`;
      const words = (map: Readonly<Record<string, number>>) =>
        Object.entries(map)
          .map(([key, value]) => `${count(value)} ${key}`)
          .join(', ');
      const lines = [
        ['agreement', row.agreement],
        [
          'left',
          `${count(row.samples)} values in ${count(row.records)} records, ${bytes(row.bytes)}, kept back ${count(row.denied)}`,
        ],
        ['by signal', words(row.fields)],
      ];
      if (row.sealedRecords > 0) {
        lines.push(['decisions', `${count(row.allowed)} let pass; active ${count(row.secondsActive)} s`]);
        lines.push(['operations', words(row.transforms)]);
        if (Object.keys(row.duties).length > 0) lines.push(['owed', words(row.duties)]);
      }
      lines.push(['sealed', `${count(row.sealedRecords)} of ${count(row.records)} records`]);
      return `${bold(head, io)}\n${table(lines)}`;
    })
    .join('\n');
}

interface Verdict {
  readonly records: number;
  readonly samples: number;
  readonly problems: readonly string[];
}

/** Signatures, chain, order of parts; against ledger and store where there is a state folder. */
async function verified(file: string, keys: readonly VerifierKey[], state: string | null): Promise<Verdict> {
  const bytesOf = await readBytes(file);
  const { entries, length } = readBook(bytesOf, file);
  const problems = length < bytesOf.length ? [`${bytesOf.length - length} bytes after the last whole record`] : [];
  const leaves = state === null ? null : await leavesOf(state);
  const rows = state !== null && existsSync(join(state, STORE_FILE)) ? rowsOf(state) : null;
  let previous = METER_START;
  for (const [i, { signed, encoded, salt, record }] of entries.entries()) {
    if (!keys.some((key) => opens(signed, key))) problems.push(`record ${i}: no key of these signed it`);
    if (Buffer.compare(record.previous, previous) !== 0)
      problems.push(`record ${i}: does not follow the record before`);
    previous = meterHash(encoded);
    const before = entries.slice(0, i).filter((one) => sameKey(one.record, record));
    if (record.part !== before.length)
      problems.push(`record ${i}: is part ${record.part} of its hour, ${before.length} was awaited`);
    if (leaves !== null && !leaves.has(hex(bodyHash(salt, encoded))))
      problems.push(`record ${i}: has no leaf in the ledger`);
  }
  for (const row of rows ?? []) {
    const sealed = entries
      .filter(({ record }) => sameKey(record, row))
      .reduce((sum, { record }) => sum + record.records, 0);
    if (sealed > row.records)
      problems.push(`hour ${row.hour} of ${row.agreement}: ${sealed} records sealed, ${row.records} counted`);
  }
  const sum = (of: (record: MeterRecord) => number) => entries.reduce((total, { record }) => total + of(record), 0);
  return { records: entries.length, samples: sum(({ samples }) => samples), problems };
}

function opens(signed: Uint8Array, { type, publicKey }: VerifierKey): boolean {
  const key =
    type === TYPE_ECDSA
      ? createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }).export({ format: 'jwk' })
      : { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') };
  try {
    openMeter(signed, key);
    return true;
  } catch (error) {
    if (error instanceof TollgateError) return false;
    throw error;
  }
}

async function leavesOf(state: string): Promise<ReadonlySet<string>> {
  const ledger = await openLedger(state);
  try {
    const found = new Set<string>();
    for (let index = ledger.prunedBelow; index < ledger.size; index++) {
      const leaf = ledger.leaf(index);
      const decoded = leaf === null ? null : decodeLeaf(leaf);
      if (decoded?.kind === LEAF_METER) found.add(hex(decoded.bodyHash));
    }
    return found;
  } finally {
    ledger.close();
  }
}

const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');

function verdictText(file: string, { records, samples, problems }: Verdict): string {
  if (problems.length === 0) return `${file}: ${count(records)} meter records, ${count(samples)} values, verified\n`;
  return `${file}: does not verify\n${problems.map((problem) => `  ${problem}\n`).join('')}`;
}
