import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import type { Command } from '../command.ts';
import { runDemo } from '../demo/run.ts';

export const command: Command = {
  name: 'sim demo',
  summary: 'Shows the whole path live: a drive, the agent, a broker, receivers, and the verified end',
  package: 'tools',
  help: `
Usage: tollgate sim demo [--log FILE --dbc FILE] [--seconds N] [--fast]

Starts an embedded broker, a simulated drive, the agent and the receivers in a temporary folder, shows what is decoded, denied, sent and
metered, and ends by verifying the ledger and every record that was received. \`npm run demo\` calls it.

  --log FILE     play a real log (candump -L, plain or gzip) instead of the simulated drive; needs --dbc
  --dbc FILE     database of the log
  --seconds N    length of the simulated drive (default 120)
  --fast         as fast as the machine can; without a terminal this is the default

Exit code: 0 everything verified, 1 something did not.

Example:
  npm run demo -- --log drive.log --dbc drive.dbc
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        log: { type: 'string' },
        dbc: { type: 'string' },
        seconds: { type: 'string', default: '120' },
        fast: { type: 'boolean', default: false },
      },
    });
    if ((values.log === undefined) !== (values.dbc === undefined)) {
      throw new TollgateError('TG_CLI_USAGE', '--log and --dbc go together');
    }
    const seconds = Number(values.seconds);
    if (!(seconds > 0 && seconds <= 86_400)) throw new TollgateError('TG_CLI_USAGE', '--seconds takes 1 to 86400');
    const source = values.log === undefined || values.dbc === undefined ? null : { log: values.log, dbc: values.dbc };
    return await runDemo({ source, seconds, fast: values.fast || !io.interactive }, io);
  },
};
