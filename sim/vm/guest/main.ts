import { arch } from 'node:os';
import { drain, spool } from './power-cut.ts';
import { report } from './report.ts';
import { testAgent, testBus, testTpm } from './tests.ts';

// What runs in the guest: a phase named on the kernel's command line.
const PHASES: Record<string, () => Promise<void>> = {
  async bus() {
    await testBus();
    await testAgent();
    if (arch() === 'x64') await testTpm();
  },
  agent: testAgent,
  spool,
  drain,
};

const [phase = ''] = process.argv.slice(2);
const run = PHASES[phase];
if (run === undefined) report(`phase ${phase}`, false, { error: 'there is no such phase' });
else
  run().catch((error: unknown) => {
    report('guest program', false, { error: String(error) });
    process.exitCode = 1;
  });
