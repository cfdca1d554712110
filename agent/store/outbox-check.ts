import { TollgateError } from '#contracts';
import { readLeaf } from '#ledger';
import type { Connection } from './database.ts';
import { kindOf } from './ranks.ts';
import { unpackRows } from './segment.ts';
import type { State } from './state.ts';
import { KIND_RECORD, STATE_GONE } from './tables.ts';

/**
 * What does not fit together in the outbox: runs whose description and payloads differ in length, and records that are not
 * the record of their leaf. The payloads themselves are sealed: whether they open only the agent knows, which has the keys.
 *
 * @param state loaded
 */
export function outboxFaults(db: Connection, state: State): string[] {
  const runs = db
    .prepare(
      'SELECT s.first, s.rows, t.state, length(s.body) FROM segment s LEFT JOIN segment_state t ON t.first = s.first ORDER BY s.first',
    )
    .raw();
  const faults: string[] = [];
  for (const run of runs.iterate() as Iterable<[number, Uint8Array, Uint8Array | null, number]>) {
    const [first, packed, states, bytes] = run;
    const rows = unpackRows(packed, states);
    let described = 0;
    for (let i = 0; i < rows.count; i++) {
      described += rows.size[i]!;
      if (rows.state[i] === STATE_GONE || kindOf(rows.lane[i]!) !== KIND_RECORD) continue;
      if (isRecord(state, rows.stream[i]!, rows.seq[i]!, rows.leaf[i]!)) continue;
      faults.push(`message ${first + i} is said to be record ${rows.seq[i]} in leaf ${rows.leaf[i]}, which is another`);
    }
    if (described !== bytes) {
      faults.push(`the messages from ${first} on have ${bytes} bytes, their description says ${described}`);
    }
  }
  return faults;
}

function isRecord({ streams, ledger }: State, stream: number, seq: number, leaf: number): boolean {
  try {
    const { record } = readLeaf(ledger.leaf(leaf));
    return record !== null && record.seq === seq && Buffer.compare(record.stream, streams.byId(stream).stream) === 0;
  } catch (error) {
    if (error instanceof TollgateError) return false;
    throw error;
  }
}
