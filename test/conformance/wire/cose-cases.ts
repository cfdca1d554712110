import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeCbor, encodeCbor } from '#wire/cbor';
import {
  ALG_ES256,
  ALG_HS256,
  ALG_HS256_64,
  type CoseMessage,
  encStructure,
  HEADER_ALG,
  openEncrypt0,
  openMac0,
  openSign1,
  parseEncrypt0,
  parseMac0,
  parseSign1,
} from '#wire/cose';
import { cameTo, fromHex, hex, REFUSED, type Report } from './report.ts';

interface CoseKey {
  readonly [member: string]: string;
}

interface CosePart {
  readonly key?: CoseKey;
  readonly external?: string;
  readonly recipients?: readonly { readonly key: CoseKey }[];
}

interface CoseCase {
  readonly fail?: boolean;
  readonly input: {
    readonly plaintext?: string;
    readonly plaintext_hex?: string;
    readonly sign0?: CosePart;
    readonly mac0?: CosePart;
    readonly encrypted?: CosePart;
  };
  readonly intermediates?: { readonly AAD_hex?: string };
  readonly output: { readonly cbor: string };
}

interface Kind {
  readonly parse: (bytes: Uint8Array) => CoseMessage;
  readonly open: (message: CoseMessage, part: CosePart, external: Uint8Array) => Uint8Array;
  /** Algorithms of this version, RFC 9053. */
  readonly algorithms: ReadonlySet<unknown>;
}

const FOLDERS = ['sign1-tests', 'ecdsa-examples', 'encrypted-tests', 'aes-gcm-examples', 'mac0-tests'];
const FEATURES: Readonly<Record<string, string>> = {
  sign: 'COSE_Sign',
  enveloped: 'COSE_Encrypt',
  mac: 'COSE_Mac',
};
const secretOf = ({ recipients }: CosePart) => new Uint8Array(Buffer.from(recipients![0]!.key.k!, 'base64url'));

const KINDS: Readonly<Record<string, Kind>> = {
  sign0: {
    parse: parseSign1,
    open: (message, { key }, external) => openSign1(message, { ...key }, external),
    algorithms: new Set([ALG_ES256, -8]),
  },
  mac0: {
    parse: parseMac0,
    open: (message, part, external) => openMac0(message, secretOf(part), external),
    algorithms: new Set([ALG_HS256, ALG_HS256_64]),
  },
  encrypted: {
    parse: parseEncrypt0,
    open: (message, part, external) => openEncrypt0(message, secretOf(part), external),
    algorithms: new Set([1, 2, 3, 24]),
  },
};

/** COSE working group examples: what should open gives its content and its own bytes again, `fail` cases are refused. */
export async function coseCases(folder: string, report: Report): Promise<void> {
  const root = join(folder, 'cose-wg');
  if (!existsSync(root)) return;
  const others = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !FOLDERS.includes(entry.name))
    .map((entry) => entry.name);
  for (const name of [...FOLDERS, ...others]) {
    const path = join(root, name);
    if (!existsSync(path)) continue;
    for (const file of readdirSync(path).filter((entry) => entry.endsWith('.json'))) {
      const one: CoseCase = JSON.parse(readFileSync(join(path, file), 'utf8'));
      await coseCase(`cose-wg/${name}/${file}`, one, report);
    }
  }
}

async function coseCase(place: string, one: CoseCase, report: Report): Promise<void> {
  const bytes = fromHex(one.output.cbor);
  const [name, kind] = Object.entries(KINDS).find(([key]) => key in one.input) ?? [];
  if (kind === undefined) {
    const feature = Object.keys(FEATURES).find((key) => key in one.input);
    report.unsupported('cose', FEATURES[feature ?? ''] ?? `the structure of ${place}`);
    return;
  }
  const part = one.input[name as 'sign0' | 'mac0' | 'encrypted']!;
  const came = await cameTo(() => {
    const message = kind.parse(bytes);
    const external = fromHex(part.external ?? '');
    const content = hex(kind.open(message, part, external));
    const aad = name === 'encrypted' ? hex(encStructure(message.protectedBytes, external)) : '';
    return `${content} ${hex(encodeCbor(decodeCbor(bytes)))} ${aad}`;
  });
  if (one.fail) {
    report.compare('cose', place, came, REFUSED);
    return;
  }
  const algorithm = algorithmOf(kind, bytes);
  if (came === REFUSED && typeof algorithm === 'number' && !kind.algorithms.has(algorithm)) {
    report.unsupported('cose', `COSE algorithm ${algorithm}${ALGORITHM_NAMES.get(algorithm) ?? ''}`);
    return;
  }
  const content = one.input.plaintext_hex ?? Buffer.from(one.input.plaintext ?? '').toString('hex');
  const aad = name === 'encrypted' ? (one.intermediates?.AAD_hex ?? '') : '';
  report.compare('cose', place, came, `${content.toLowerCase()} ${hex(bytes)} ${aad.toLowerCase()}`);
}

const ALGORITHM_NAMES: ReadonlyMap<number, string> = new Map([
  [-35, ' (ES384)'],
  [-36, ' (ES512)'],
  [6, ' (HS384)'],
  [7, ' (HS512)'],
]);

function algorithmOf(kind: Kind, bytes: Uint8Array): unknown {
  try {
    const { protectedHeaders, headers } = kind.parse(bytes);
    return protectedHeaders.get(HEADER_ALG) ?? headers.get(HEADER_ALG);
  } catch {
    return null;
  }
}
