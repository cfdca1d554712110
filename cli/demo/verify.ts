import { join } from 'node:path';
import { loadUnitKeys } from '#agent/keys';
import { readStore } from '#agent/store/index';
import { readLedger } from '#agent/store/read-ledger';
import { STORE_FILE } from '#agent/unit';
import { auditLedger, nodeCrypto, parseVerifierKey } from '#ledger';
import type { ReceiverService, SqliteStore } from '#receiver';
import type { Io } from '../command.ts';
import { bold, bytes, count } from '../text.ts';
import type { DemoSetup } from './setup.ts';

/** What the end of the demo found. */
export interface Outcome {
  readonly checks: readonly { readonly what: string; readonly right: boolean; readonly detail: string }[];
  readonly records: number;
  readonly samples: number;
  readonly sentBytes: number;
  readonly brokerBytes: number;
}

interface Ended {
  readonly settled: boolean;
  readonly alarms: number;
  readonly brokerBytes: number;
}

/** Verifies from the files that are left: ledger, meter, what the receivers stored. */
export async function verifyDemo(
  setup: DemoSetup,
  recipients: readonly { readonly service: ReceiverService; readonly store: SqliteStore }[],
  { settled, alarms, brokerBytes }: Ended,
): Promise<Outcome> {
  const file = join(setup.state, STORE_FILE);
  const { verifierKey } = await loadUnitKeys(setup.keys);
  const ledger = readLedger(file);
  const source = { ...ledger, keepsAllNodes: true, outside: [] };
  const audit = await auditLedger(source, [parseVerifierKey(verifierKey, nodeCrypto)], nodeCrypto);
  ledger.close();
  const store = readStore(file);
  const meter = store.meter();
  store.close();
  const total = (of: (row: (typeof meter)[number]) => number) => meter.reduce((sum, row) => sum + of(row), 0);
  const records = total((row) => row.records);
  const samples = total((row) => row.samples);
  const received = recipients.map(({ service }) => service.status());
  const opened = received.reduce((sum, status) => sum + status.opened, 0);
  const proven = received.reduce((sum, status) => sum + status.proven, 0);
  return {
    checks: [
      {
        what: 'everything that was sent was acknowledged by its receiver',
        right: settled,
        detail: settled ? '' : 'rows are left in the outbox',
      },
      {
        what: 'what the meter counted is what the receivers opened',
        right: opened === records,
        detail: `${count(records)} records, ${count(opened)} opened`,
      },
      {
        what: 'each of them is proven against a signed checkpoint',
        right: proven === records,
        detail: `${count(proven)} proven`,
      },
      {
        what: 'the ledger verifies from its first leaf',
        right: audit.ok,
        detail: `${count(audit.leaves)} leaves`,
      },
      { what: 'no receiver raised an alarm', right: alarms === 0, detail: alarms === 0 ? '' : `${alarms} alarms` },
    ],
    records,
    samples,
    sentBytes: total((row) => row.bytes),
    brokerBytes,
  };
}

export function outcomeText({ checks, records, samples, sentBytes, brokerBytes }: Outcome, io: Io): string {
  const lines = checks.map(
    ({ what, right, detail }) => `  ${right ? '✓' : '✗'} ${what}${detail === '' ? '' : ` (${detail})`}`,
  );
  const good = checks.every(({ right }) => right);
  const perSample = samples === 0 ? '' : `, ${(sentBytes / samples).toFixed(1)} bytes a value`;
  return `
${bold(good ? 'Verified' : 'NOT verified', io)}
${lines.join('\n')}

  ${count(samples)} values left in ${count(records)} sealed records of ${bytes(sentBytes)}${perSample}; with sessions, proofs and status ${bytes(brokerBytes)} went to the broker.
  The anchor of this unit is software-untrusted: its keys are files.

  Next: write your own campaign and agreement (README), then \`tollgate check\` and \`tollgate replay\`.
`;
}
