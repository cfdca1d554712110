import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { agreementCredential } from '#policies/consent/index';
import type { Command } from '../command.ts';
import { CONSENT_HELP, CONSENT_OPTIONS, handOver, read, readOwner, usage, wholeNumber } from '../consent.ts';

export const command: Command = {
  name: 'consent grant',
  summary: 'Signs an agreement as the owner, and hands it to the unit',
  package: 'unit',
  help: `
Usage: tollgate consent grant POLICY [--until TIME] [--drive] [--version N] [options]

Makes a verifiable credential (vc+jwt) of an agreement of the profile auto-odrl/1 and signs it with the owner's key. The unit takes it when
its version is above every one that it has seen of this agreement. Sensitive classes (trajectory, audio, image, biometric) need an
agreement of their own: a unit refuses a bundled one.

  POLICY          the agreement, JSON-LD; "assigner" is set to the owner's DID
  --until TIME    the consent ends then, ISO 8601
  --drive         for this drive only: it ends when the ignition goes off
  --version N     sets "auto:version"
${CONSENT_HELP}

Exit code: 0 signed (with --send: accepted), 1 refused or not answered, 2 bad usage or input.

Example:
  tollgate consent grant insurer.json --until 2027-01-01T00:00:00Z --out agreements/insurer.jwt
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...CONSENT_OPTIONS,
        until: { type: 'string' },
        drive: { type: 'boolean', default: false },
        version: { type: 'string' },
      },
    });
    const [file] = positionals;
    if (file === undefined || positionals.length > 1) throw usage('consent grant takes one POLICY');
    const owner = await readOwner(values.key);
    const policy = await readPolicy(file);
    policy.assigner = owner.did;
    policy['auto:version'] =
      values.version === undefined ? (policy['auto:version'] ?? 1) : wholeNumber(values.version, '--version');
    const envelope = { issuer: owner.did, validFromMs: Date.now(), ...untilOf(values.until) };
    const grant = {
      act: 'grant' as const,
      ...(values.drive ? { scope: 'drive' as const } : {}),
      ...(values.unit === undefined ? {} : { unit: values.unit }),
    };
    return await handOver(owner.sign(agreementCredential(envelope, policy, grant)), values, io);
  },
};

/** A policy as the object that it is; what it says is read when it is signed. */
export async function readPolicy(file: string): Promise<Record<string, unknown>> {
  const text = (await read(file)).toString('utf8');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new TollgateError('TG_POLICY_SYNTAX', 'this is no JSON object', { place: { file } });
}

function untilOf(until: string | undefined): { validUntilMs?: number } {
  if (until === undefined) return {};
  const ms = Date.parse(until);
  if (Number.isNaN(ms)) throw usage(`--until takes a time such as 2027-01-01T00:00:00Z, not "${until}"`);
  return { validUntilMs: ms };
}
