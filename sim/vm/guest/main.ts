import { arch } from 'node:os';
import { drain, spool } from './power-cut.ts';
import { report } from './report.ts';
import { testAgent, testBus, testTpm } from './tests.ts';

// What runs in the guest: a phase named on the kernel's command line.
const [phase] = process.argv.slice(2);
switch (phase) {
  case 'bus':
    await testBus();
    await testAgent();
    if (arch() === 'x64') await testTpm();
    break;
  case 'agent':
    await testAgent();
    break;
  case 'spool':
    await spool();
    break;
  case 'drain':
    await drain();
    break;
  default:
    report(`phase ${phase}`, false, { error: 'there is no such phase' });
}
