import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createReceiver, SqliteStore } from '#receiver';
import { exampleIn, exampleRun } from '../ledger/readme.ts';
import { keysFor, TestUnit } from './parts.ts';

it('the example is the one of the page', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  expect(exampleIn(read('../../receiver/README.md'))).toBe(exampleRun(read('readme.test.ts')));
});

it('the example of receiver/README.md works', async () => {
  const unit = new TestUnit();
  const stream = await unit.stream();
  const messages = [stream.session, ...(await stream.records(3)), await stream.proof()];
  const keys = keysFor(unit);

  // example
  const acks: Uint8Array[] = [];
  const store = new SqliteStore(':memory:');
  const receiver = createReceiver({
    keys,
    store,
    publishAck: (_topic, bytes) => void acks.push(bytes),
    now: () => performance.now(),
    alarm: ({ error }) => console.error(error.code),
  });
  for (const { topic, bytes } of messages) await receiver.handle(topic, bytes);
  await receiver.flush();
  const { opened, proven } = receiver.status();
  // end

  expect({ opened, proven, acks: acks.length }).toEqual({ opened: 3, proven: 3, acks: 2 });
});
