// `npm run demo`: from a fresh clone, the whole path, live. Arguments go to `tollgate sim demo` (--log FILE --dbc FILE).
import { install, pinnedNode, run } from './run.mjs';

install();
const shut = '--disallow-code-generation-from-strings';
process.exit(run(pinnedNode(), [shut, 'cli/tollgate.mjs', 'sim', 'demo', ...process.argv.slice(2)]));
