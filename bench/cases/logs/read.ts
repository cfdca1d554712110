import { statSync } from 'node:fs';
import { logSource } from '#agent/sources/log';

// `node read.ts FILE`: reads a log as the agent does, and prints what it took as one JSON object. A process of its own, so that its
// memory is that of one reader.

const PARTS = 4;
const [path = ''] = process.argv.slice(2);
const { size } = statSync(path);
const source = logSource({ name: 'log', path, channel: 0, bootId: new Uint8Array(8) });
let frames = 0;
let sum = 0;
let peak = 0;
const steps: number[] = [];
const start = performance.now();
let looked = start;
await source.open(
  ({ count, bytes, slotBytes }) => {
    frames += count;
    for (let at = 0; at < count * slotBytes; at += slotBytes) sum = (sum + bytes[at + 16]!) | 0;
    const now = performance.now();
    if (now - looked < 20) return;
    looked = now;
    const { rss } = process.memoryUsage();
    peak = Math.max(peak, rss);
    steps.push(rss);
  },
  { ids: [null] },
);
await source.ended;
const ms = performance.now() - start;
// Resident memory a quarter, half, three quarters through, and at the end.
const quarters = Array.from({ length: PARTS }, (_, i) => steps[Math.ceil(((i + 1) * steps.length) / PARTS) - 1] ?? 0);
process.stdout.write(
  JSON.stringify({
    size,
    frames,
    sum,
    malformed: source.malformed(),
    ms,
    peak: Math.max(peak, process.memoryUsage().rss),
    quarters,
  }),
);
