import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { connectMqtt } from '#firmware-bridge/mqtt';
import { startBroker } from '#sim/broker';
import { exampleIn, exampleRun } from '../ledger/readme.ts';

it('the example is the one of the page', () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
  expect(exampleIn(read('../../firmware-bridge/README.md'))).toBe(exampleRun(read('readme.test.ts')));
});

it('the example of firmware-bridge/README.md works', async () => {
  const broker = await startBroker();
  const seen: string[] = [];
  // example
  const link = await connectMqtt({
    url: broker.url,
    protocol: 4,
    clientId: 'reader',
    keepalive: 30,
    onMessage: (topic, payload) => void seen.push(`${topic} ${payload.length}`),
    onClose: () => {},
  });
  await link.subscribe(['v1/+/+/tx/+']);
  await link.publish('v1/t1/AAAAAAAAAAAAAAAAAAAAAA/tx/AAAAAAAAAAA', new Uint8Array(3), { retain: false });
  // end
  await expect.poll(() => seen).toEqual(['v1/t1/AAAAAAAAAAAAAAAAAAAAAA/tx/AAAAAAAAAAA 3']);
  await link.end();
  await broker.close();
});
