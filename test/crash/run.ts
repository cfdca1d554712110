import { parseArgs } from 'node:util';
import { cutPower, type LifeOptions, missing, recordLife, selfCheck } from './rig.ts';

// node test/crash/run.ts [--n 10000] [--seed 1] [--rounds 40] [--control]
// Exit 0: nothing was lost. 1: something was, with --control (synchronous=OFF) that is what should be. 2: cannot run.
// 3: the rig is blind: the record does not lead to the files, or the control lost nothing.

const CUTS_A_LIFE = 500;
const LEAST_A_LIFE = 50;
/** Cuts with nothing unsynced prove nothing: so many times n are made at most to find n that have. */
const MOST_TIMES = 4;

const { values } = parseArgs({
  options: {
    n: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '40' },
    control: { type: 'boolean', default: false },
  },
});
const reason = missing();
if (reason !== null) {
  process.stderr.write(`${reason}\n`);
  process.exit(2);
}
const wanted = Number(values.n);
let cuts = 0;
let lossy = 0;
let lost = 0;
const faults: string[] = [];
for (let life = 0; lossy < wanted && cuts < MOST_TIMES * wanted; life++) {
  const options: LifeOptions = { lazy: life % 2 === 1, unsynced: values.control };
  const { events, left } = recordLife(Number(values.rounds), options);
  const differ = selfCheck(events, left);
  if (differ.length > 0) {
    process.stderr.write(`the record does not lead to the files that were left: ${differ.join(', ')}\n`);
    process.exit(3);
  }
  const now = Math.min(CUTS_A_LIFE, Math.max(LEAST_A_LIFE, wanted - lossy));
  const verdict = await cutPower(events, now, Number(values.seed) + life);
  cuts += verdict.cuts;
  lossy += verdict.lossy;
  lost += verdict.faults.filter(({ what }) => what.some((text) => text.startsWith('lost'))).length;
  faults.push(...verdict.faults.map(({ point, what }) => `life ${life}, event ${point}: ${what.join('; ')}`));
  process.stdout.write(
    `${cuts} cuts, ${lossy} of ${wanted} with something unsynced, ${faults.length} with a fault, ${lost} with a loss\n`,
  );
}
for (const fault of faults.slice(0, 10)) process.stdout.write(`${fault}\n`);
if (values.control && lost === 0) {
  process.stderr.write('a store without syncs lost nothing: the rig is blind\n');
  process.exit(3);
}
process.exit(faults.length > 0 ? 1 : 0);
