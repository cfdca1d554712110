// `npm test`: from a fresh clone, all tests. Arguments go to vitest (`npm test -- test/dbc`).

import { installParts } from './parts.mjs';
import { install, run } from './run.mjs';

install();
installParts();
process.exit(run('vitest', ['run', ...process.argv.slice(2)]));
