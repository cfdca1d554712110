import { parseArgs } from 'node:util';
import { cutPower, missing, recordLife, selfCheck } from './rig.ts';

// node test/crash/run.ts [--n 10000] [--seed 1] [--rounds 40] [--control]
// Exit 0: nothing was lost. 1: something was, with --control that is what should be. 2: cannot run. 3: the rig is blind.

const CUTS_A_LIFE = 1_000;

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
let cuts = 0;
let lossy = 0;
const faults: string[] = [];
const wanted = Number(values.n);
for (let life = 0; cuts < wanted; life++) {
  const { events, left } = recordLife(Number(values.rounds));
  const differ = selfCheck(events, left);
  if (differ.length > 0) {
    process.stderr.write(`the record does not lead to the files that were left: ${differ.join(', ')}\n`);
    process.exit(3);
  }
  const now = Math.min(CUTS_A_LIFE, wanted - cuts);
  const verdict = await cutPower(events, now, Number(values.seed) + life, values.control ? 'no-syncs' : null);
  cuts += verdict.cuts;
  lossy += verdict.lossy;
  faults.push(...verdict.faults.map(({ point, what }) => `life ${life}, event ${point}: ${what.join('; ')}`));
  process.stdout.write(`${cuts} of ${wanted} cuts, ${lossy} with something unsynced, ${faults.length} with a fault\n`);
}
for (const fault of faults.slice(0, 10)) process.stdout.write(`${fault}\n`);
process.exit(faults.length > 0 ? 1 : 0);
