import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { brokerAcl, brokerConf } from '#firmware-bridge/mqtt/acl';
import type { Command, Io } from '../command.ts';

export const command: Command = {
  name: 'broker acl',
  summary: 'writes the access rules of a broker',
  package: 'tools',
  help: `
Usage: tollgate broker acl --tenant NAME … --receiver NAME … [--out FILE] [--conf FOLDER] [--json]

Access rules for mosquitto (acl_file): each unit may publish below its own pseudonym and read what is for it; each
receiver may read records and publish acknowledgements and documents; everything else is refused. The broker takes names
from certificates: the common name of a unit's is its pseudonym, that of a receiver's the name given here.

  --tenant NAME    tenant, the second part of every topic; may be given several times
  --receiver NAME  common name of a receiver's certificate; may be given several times
  --out FILE       writes there instead of the screen
  --conf FOLDER    prints the lines of mosquitto.conf that the rules need, with their files in FOLDER, instead
  --json           the rules as one JSON object

Example:
  tollgate broker acl --tenant t1 --receiver insurer --out /etc/mosquitto/acl
`,
  run,
};

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tenant: { type: 'string', multiple: true, default: [] },
      receiver: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
      conf: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.conf !== undefined) {
    io.out(brokerConf(values.conf));
    return 0;
  }
  if (values.tenant.length === 0) throw usage('--tenant NAME is needed');
  const text = rules(values.tenant, values.receiver);
  if (values.out !== undefined) {
    await writeFile(values.out, text).catch((cause: Error) => {
      throw new TollgateError('TG_CLI_FILE', `cannot be written: ${cause.message}`, {
        place: { file: values.out! },
        cause,
      });
    });
  }
  if (values.json) io.out(`${JSON.stringify({ acl: text, file: values.out ?? null })}\n`);
  else io.out(values.out === undefined ? text : `wrote ${values.out}\n`);
  return 0;
}

function rules(tenants: readonly string[], receivers: readonly string[]): string {
  try {
    return brokerAcl({ tenants, receivers });
  } catch (error) {
    throw error instanceof RangeError ? usage(error.message) : error;
  }
}

function usage(message: string): TollgateError {
  return new TollgateError('TG_CLI_USAGE', message, {
    remedy: 'tollgate broker acl --help shows usage and an example.',
  });
}
