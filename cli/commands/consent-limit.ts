import { parseArgs } from 'node:util';
import { TollgateError } from '#contracts';
import { agreementCredential, consentCredential, readConsentDocument } from '#policies/consent/index';
import { parseJws, type StatusEntry } from '#policies/credentials/index';
import type { Command } from '../command.ts';
import {
  CONSENT_HELP,
  CONSENT_OPTIONS,
  handOver,
  read,
  readOwner,
  usage,
  versionOfNow,
  wholeNumber,
} from '../consent.ts';

export const command: Command = {
  name: 'consent limit',
  summary: 'Narrows an agreement that was granted, or suspends it for a time',
  package: 'unit',
  help: `
Usage: tollgate consent limit GRANT [--remove TARGET …] [--prohibit TARGET …] [--version N] [options]
       tollgate consent limit --suspend AGREEMENT | --resume AGREEMENT [--version N] [options]

Takes the credential of a grant, narrows it and signs the next version. The unit refuses a limit that opens anything. From the next sample on
only the rest leaves; what was taken before still goes. A suspended agreement rests until it is resumed.

  GRANT               the credential as granted (.jwt)
  --remove TARGET     takes this target out of every permission
  --prohibit TARGET   adds a prohibition of it
  --suspend UID       the agreement rests
  --resume UID        it goes on
  --version N         default: the grant's + 1; for --suspend and --resume the second of now
${CONSENT_HELP}

Exit code: 0 signed (with --send: accepted), 1 refused or not answered, 2 bad usage or input.

Example:
  tollgate consent limit agreements/insurer.jwt --remove vss:Vehicle.Speed --out agreements/insurer-2.jwt
`,
  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...CONSENT_OPTIONS,
        remove: { type: 'string', multiple: true, default: [] },
        prohibit: { type: 'string', multiple: true, default: [] },
        suspend: { type: 'string' },
        resume: { type: 'string' },
        version: { type: 'string' },
      },
    });
    const owner = await readOwner(values.key);
    const unit = values.unit === undefined ? {} : { unit: values.unit };
    const agreement = values.suspend ?? values.resume;
    if (agreement !== undefined) {
      if (positionals.length > 0 || (values.suspend !== undefined && values.resume !== undefined))
        throw usage('one of GRANT, --suspend and --resume is taken');
      const act = values.suspend === undefined ? ('resume' as const) : ('suspend' as const);
      const version = values.version === undefined ? versionOfNow() : wholeNumber(values.version, '--version');
      const envelope = { issuer: owner.did, validFromMs: Date.now() };
      return await handOver(owner.sign(consentCredential(envelope, { agreement, act, version, ...unit })), values, io);
    }
    const [file] = positionals;
    if (file === undefined || positionals.length > 1) throw usage('consent limit takes one GRANT');
    const { policy, scope, validUntilMs, status } = await readGrant(file);
    narrow(policy, values.remove, values.prohibit, file);
    const before = Number(policy['auto:version']);
    policy['auto:version'] = values.version === undefined ? before + 1 : wholeNumber(values.version, '--version');
    const until = validUntilMs === null ? {} : { validUntilMs };
    const envelope = { issuer: owner.did, validFromMs: Date.now(), ...until, status };
    const grant = { act: 'limit' as const, scope, ...unit };
    return await handOver(owner.sign(agreementCredential(envelope, policy, grant)), values, io);
  },
};

interface Granted {
  readonly policy: Record<string, unknown>;
  readonly scope: 'standing' | 'drive';
  readonly validUntilMs: number | null;
  readonly status: readonly StatusEntry[];
}

async function readGrant(file: string): Promise<Granted> {
  const bytes = await read(file);
  const document = readConsentDocument(bytes, file, new Map());
  if (document.kind !== 'agreement')
    throw new TollgateError('TG_CREDENTIAL_VALUE', 'this credential grants nothing', { place: { file } });
  // The signature holds and the policy was read: this is its text once more, to be changed.
  const payload = JSON.parse(Buffer.from(parseJws(bytes, file).payload).toString('utf8')) as {
    credentialSubject: { policy: Record<string, unknown> };
  };
  const { scope, credential } = document;
  return {
    policy: payload.credentialSubject.policy,
    scope,
    validUntilMs: credential.validUntilMs,
    status: credential.status,
  };
}

function narrow(
  policy: Record<string, unknown>,
  remove: readonly string[],
  prohibit: readonly string[],
  file: string,
): void {
  if (remove.length === 0 && prohibit.length === 0) throw usage('--remove or --prohibit says what is to be narrowed');
  const list = <T>(value: unknown): T[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]) as T[];
  const found = new Set<string>();
  const permissions = list<Record<string, unknown>>(policy.permission).flatMap((rule) => {
    const targets = list<string>(rule.target);
    for (const target of targets) if (remove.includes(target)) found.add(target);
    const target = targets.filter((one) => !remove.includes(one));
    return target.length === 0 ? [] : [{ ...rule, target }];
  });
  const missing = remove.find((target) => !found.has(target));
  if (missing !== undefined)
    throw new TollgateError('TG_CONSENT_LIMIT', `no permission has the target ${missing}`, { place: { file } });
  if (permissions.length === 0)
    throw new TollgateError('TG_CONSENT_LIMIT', 'nothing would be left of it: withdraw it instead', {
      place: { file },
    });
  policy.permission = permissions;
  if (prohibit.length === 0) return;
  const uid = `#limit-${versionOfNow()}`;
  policy.prohibition = [...list(policy.prohibition), { uid, target: [...prohibit], action: 'use' }];
}
