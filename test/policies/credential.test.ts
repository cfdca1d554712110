import { createPublicKey } from 'node:crypto';
import fc from 'fast-check';
import { CompactSign, compactVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { readConsentDocument } from '#policies/consent/index';
import {
  CONTEXT_CONSENT,
  CONTEXT_VC,
  decodeBase58,
  didKey,
  didKeyOf,
  encodeBase58,
  readCredential,
  readDidDocument,
  signJws,
  statusBit,
} from '#policies/credentials/index';
import {
  bytesOf,
  DAY,
  grant,
  INSURER,
  list,
  NONE,
  NOW,
  OWNER,
  party,
  partyOfP256,
  policy,
  STRANGER,
  signed,
} from './consent-parts.ts';

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof TollgateError) return error.code;
    throw error;
  }
  return 'taken';
};
const read = (bytes: Uint8Array) => readConsentDocument(bytes, 'c.jwt', NONE);
const b64 = (value: object | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const payloadOf = (bytes: Uint8Array) =>
  Buffer.from(Buffer.from(bytes).toString().split('.')[1]!, 'base64url').toString();
const HEADER = { alg: 'EdDSA', kid: OWNER.kid, typ: 'vc+jwt' };
/** A credential with a header or payload of the test's choice, signed by the owner's real key. */
async function forged(header: object | string, payload: string): Promise<Uint8Array> {
  const { sign } = await import('node:crypto');
  const text = `${b64(header)}.${b64(payload)}`;
  return bytesOf(`${text}.${sign(null, Buffer.from(text), OWNER.key).toString('base64url')}`);
}
const GOOD = payloadOf(grant());
const changed = (change: (payload: Record<string, unknown>) => void): Uint8Array => {
  const payload = JSON.parse(GOOD) as Record<string, unknown>;
  change(payload);
  return signed(payload);
};

const withValue = (key: string, value: unknown) => changed((payload) => void Object.assign(payload, { [key]: value }));

describe('a verifiable credential', () => {
  it('is taken from an Ed25519 and from a P-256 key, by its did:key', () => {
    const curve = partyOfP256();
    expect(read(grant())).toMatchObject({ kind: 'agreement', act: 'grant', version: 1, scope: 'standing' });
    expect(read(grant({}, {}, curve))).toMatchObject({ kind: 'agreement', credential: { issuer: curve.did } });
  });

  it('carries an agreement whose hash does not depend on spaces and the order of keys', () => {
    const spaced = `${JSON.stringify(JSON.parse(GOOD), null, 3)}`;
    const turned = JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(GOOD) as object).reverse()));
    const hashOf = async (payload: string) => {
      const document = read(await forged(HEADER, payload));
      return document.kind === 'agreement' ? Buffer.from(document.agreement.hash).toString('hex') : '';
    };
    return Promise.all([GOOD, spaced, turned].map(hashOf)).then((hashes) => expect(new Set(hashes).size).toBe(1));
  });

  it('is refused when a single bit of it is another', () => {
    const bytes = grant();
    for (let at = 0; at < bytes.length; at += 7) {
      const other = Uint8Array.from(bytes);
      other[at]! ^= 1;
      expect(codeOf(() => read(other))).toMatch(/^TG_CREDENTIAL_/);
    }
  });

  it('believes no algorithm of the header: "none", HMAC with the public key, another curve', async () => {
    const { createHmac } = await import('node:crypto');
    const text = (alg: string) => `${b64({ ...HEADER, alg })}.${b64(GOOD)}`;
    const mac = createHmac('sha256', String(OWNER.key.export({ format: 'jwk' }).x))
      .update(text('HS256'))
      .digest();
    const padded = Buffer.concat([mac, mac]).toString('base64url');
    expect(codeOf(() => read(bytesOf(`${text('none')}.`)))).toBe('TG_CREDENTIAL_FORM');
    expect(codeOf(() => read(bytesOf(`${text('none')}.${padded}`)))).toBe('TG_CREDENTIAL_ALGORITHM');
    expect(codeOf(() => read(bytesOf(`${text('HS256')}.${padded}`)))).toBe('TG_CREDENTIAL_ALGORITHM');
    expect(codeOf(() => read(bytesOf(`${text('ES256')}.${padded}`)))).toBe('TG_CREDENTIAL_SIGNATURE');
  });

  it('takes no key from its header, and no kid but the issuer’s own', async () => {
    const jwk = STRANGER.key.export({ format: 'jwk' });
    for (const more of [{ jwk }, { jku: 'https://evil.example' }, { x5c: [] }, { crit: ['b64'], b64: false }])
      expect(codeOf(() => read(forgedSync({ ...HEADER, ...more })))).toBe('TG_CREDENTIAL_FORM');
    for (const kid of [STRANGER.kid, OWNER.did, `${OWNER.did}#0`, `${OWNER.kid}#`, '../../etc/passwd', ''])
      expect(codeOf(() => read(forgedSync({ ...HEADER, kid })))).toMatch(/^TG_CREDENTIAL_(ISSUER|FORM)$/);
    expect(codeOf(() => read(forgedSync({ ...HEADER, typ: 'JWT' })))).toBe('TG_CREDENTIAL_FORM');
    expect(codeOf(() => read(forgedSync(`{"alg":"none","alg":"EdDSA","kid":"${OWNER.kid}","typ":"vc+jwt"}`)))).toBe(
      'TG_CREDENTIAL_FORM',
    );
    function forgedSync(header: object | string): Uint8Array {
      return bytesOf(`${b64(header)}.${b64(GOOD)}.${'A'.repeat(85)}A`);
    }
  });

  it('is refused with duplicate keys, huge nesting, and words that it does not know', async () => {
    const nested = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(codeOf(() => read(bytesOf(`${b64(HEADER)}.${b64(nested)}.${'A'.repeat(86)}`)))).toBe('TG_CREDENTIAL_SYNTAX');
    const twice = GOOD.replace('"issuer":', '"issuer":"did:key:zOther","issuer":');
    expect(codeOf(() => read(signedText(twice)))).toBe('TG_CREDENTIAL_SYNTAX');
    expect(codeOf(() => read(withValue('evidence', {})))).toBe('TG_CREDENTIAL_UNKNOWN_KEY');
    expect(codeOf(() => read(withValue('@context', [CONTEXT_VC])))).toBe('TG_CREDENTIAL_VALUE');
    expect(codeOf(() => read(withValue('@context', [CONTEXT_CONSENT, CONTEXT_VC])))).toBe('TG_CREDENTIAL_VALUE');
    expect(codeOf(() => read(withValue('type', ['VerifiableCredential'])))).toBe('TG_CREDENTIAL_VALUE');
    function signedText(payload: string): Uint8Array {
      return bytesOf(`${b64(HEADER)}.${b64(payload)}.${'A'.repeat(86)}`);
    }
  });

  it('lets exp and nbf narrow its times and never widen them', () => {
    const times = (exp: number, nbf: number) => {
      const { credential } = read(
        changed((one) => {
          Object.assign(one, { validUntil: new Date(NOW + DAY).toISOString(), exp, nbf });
        }),
      );
      return [credential.validFromMs, credential.validUntilMs];
    };
    expect(times(NOW / 1000, NOW / 1000 - 5)).toEqual([NOW - 5000, NOW]);
    expect(times(NOW / 1000 + 10 * 86_400, 0)).toEqual([NOW - DAY, NOW + DAY]);
    for (const exp of ['1', -1, 1e300, null])
      expect(codeOf(() => read(withValue('exp', exp)))).toBe('TG_CREDENTIAL_VALUE');
    expect(codeOf(() => read(withValue('exp', 1)))).toBe('TG_CREDENTIAL_VALUE');
  });

  it('repeats its issuer and id in JWT claims only word by word', () => {
    expect(codeOf(() => read(withValue('iss', OWNER.did)))).toBe('taken');
    expect(codeOf(() => read(withValue('iss', STRANGER.did)))).toBe('TG_CREDENTIAL_VALUE');
    expect(codeOf(() => read(withValue('jti', 'urn:x:1')))).toBe('TG_CREDENTIAL_VALUE');
  });

  it('is refused when a stranger signs for another assigner, with the place of the assigner', () => {
    const bytes = grant({ assigner: OWNER.did }, {}, STRANGER);
    expect(() => read(bytes)).toThrow(
      expect.objectContaining({
        code: 'TG_CONSENT_OWNER',
        place: expect.objectContaining({ pointer: '/credentialSubject/policy/assigner' }),
      }),
    );
  });

  it('names the place of a fault of the agreement inside as a place of the credential', () => {
    const bytes = changed((one) => {
      const { policy: inner } = one.credentialSubject as { policy: { permission: Record<string, unknown>[] } };
      inner.permission[0]!.action = 'distribuet';
    });
    expect(() => read(bytes)).toThrow(
      expect.objectContaining({
        code: 'TG_POLICY_UNKNOWN_ACTION',
        place: { file: 'c.jwt', pointer: '/credentialSubject/policy/permission/0/action' },
      }),
    );
  });

  it('survives 3,000 mutants: each is refused with a code, or is the same document', () => {
    const bytes = grant(
      { deny: ['dbc:Steering.Angle'] },
      { status: [{ purpose: 'revocation', index: 5, list: 'https://s.example/1' }] },
    );
    const genuine = Buffer.from(read(bytes).credential.hash).toString('hex');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 2 })), {
          minLength: 1,
          maxLength: 6,
        }),
        (edits) => {
          const mutant = [...bytes];
          for (const [at, value, how] of edits) {
            if (how === 0) mutant[at] = value;
            else if (how === 1) mutant.splice(at, 1);
            else mutant.splice(at, 0, value);
          }
          const taken = codeOf(() => {
            const { credential } = read(Uint8Array.from(mutant));
            expect(Buffer.from(credential.hash).toString('hex')).toBe(genuine);
          });
          expect(taken).toMatch(/^(taken|TG_(CREDENTIAL|CONSENT|POLICY)_)/);
        },
      ),
      { numRuns: 3_000, seed: 4 },
    );
  });

  it('survives mutants of its JSON that the owner really signed', () => {
    const values: readonly unknown[] = [null, 0, -1, 1e308, '', 'x', [], {}, [[]], true, '__proto__', { __proto__: 1 }];
    fc.assert(
      fc.property(fc.nat(200), fc.nat(values.length - 1), fc.boolean(), (place, value, remove) => {
        const payload = JSON.parse(GOOD) as object;
        mutate(payload, place, values[value], remove);
        expect(codeOf(() => read(signed(payload)))).toMatch(/^(taken|TG_(CREDENTIAL|CONSENT|POLICY)_)/);
      }),
      { numRuns: 1_000, seed: 5 },
    );
    /** Replaces or removes the n-th value, depth first. */
    function mutate(root: object, place: number, value: unknown, remove: boolean): void {
      const spots: [Record<string, unknown>, string][] = [];
      const walk = (node: unknown) => {
        if (typeof node !== 'object' || node === null) return;
        for (const key of Object.keys(node)) {
          spots.push([node as Record<string, unknown>, key]);
          walk((node as Record<string, unknown>)[key]);
        }
      };
      walk(root);
      const [node, key] = spots[place % spots.length]!;
      if (remove) delete node[key];
      else node[key] = value;
    }
  });
});

describe('a credential and jose, which nobody here wrote', () => {
  it.each([
    ['Ed25519', OWNER],
    ['P-256', partyOfP256()],
  ] as const)('agree on signatures of %s', async (_, by) => {
    const bytes = grant({}, {}, by);
    const { payload, protectedHeader } = await compactVerify(bytes, createPublicKey(by.key));
    expect(protectedHeader).toMatchObject({ alg: by.algorithm, typ: 'vc+jwt', kid: by.kid });
    const header = { alg: by.algorithm, typ: 'vc+jwt', kid: by.kid };
    const theirs = await new CompactSign(payload).setProtectedHeader(header).sign(by.key);
    expect(read(bytesOf(theirs))).toMatchObject({ kind: 'agreement', version: 1 });
    const stranger = await new CompactSign(payload)
      .setProtectedHeader(header)
      .sign(by === OWNER ? STRANGER.key : partyOfP256().key);
    expect(codeOf(() => read(bytesOf(stranger)))).toBe('TG_CREDENTIAL_SIGNATURE');
  });
});

describe('a did:key', () => {
  it('of the standard’s example is the key that it names', () => {
    // did:key §3.1.1 (Ed25519) and §3.1.5 (P-256).
    expect(didKey('did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK')?.algorithm).toBe('EdDSA');
    expect(didKey('did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169')?.algorithm).toBe('ES256');
  });

  it('comes back from its own name', () => {
    for (let seed = 1; seed < 20; seed++) {
      const { did, key } = party(seed);
      const jwk = didKey(did)!.key.export({ format: 'jwk' });
      expect(jwk.x).toBe(key.export({ format: 'jwk' }).x);
      expect(didKeyOf(jwk)).toBe(did);
    }
  });

  it('of another codec, another length or another spelling is nobody', () => {
    const good = OWNER.did;
    for (const did of [
      `${good}1`,
      good.slice(0, -1),
      good.replace(':z', ':u'),
      'did:key:z',
      `did:key:z1${good.slice(9)}`,
      `did:key:z${'z'.repeat(10_000)}`,
    ])
      expect(didKey(did)).toBe(null);
  });

  it('reads base58 both ways', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(Buffer.from(decodeBase58(encodeBase58(bytes))!)).toEqual(Buffer.from(bytes));
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('a did:web', () => {
  const jwk = party(9).key.export({ format: 'jwk' });
  const did = 'did:web:fleet.example';
  const method = (id: string, more: object = {}) => ({
    id,
    type: 'JsonWebKey2020',
    controller: did,
    publicKeyJwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x },
    ...more,
  });
  const document = (methods: object[], assertionMethod: string[]) =>
    bytesOf(JSON.stringify({ id: did, verificationMethod: methods, assertionMethod }));
  const issue = (kid: string) =>
    bytesOf(
      signJws(
        {
          ...(JSON.parse(GOOD) as object),
          issuer: did,
          credentialSubject: { id: INSURER, act: 'grant', policy: policy({ assigner: did }) },
        },
        kid,
        'EdDSA',
        party(9).key,
      ),
    );

  it('signs with the keys of its pinned document, and nothing is fetched', () => {
    const { keys } = readDidDocument(document([method('#k1')], ['#k1']), 'did.json');
    const pinned = new Map([[did, keys]]);
    expect(readCredential(issue(`${did}#k1`), 'c', pinned).issuer).toBe(did);
    expect(codeOf(() => readCredential(issue(`${did}#k2`), 'c', pinned))).toBe('TG_CREDENTIAL_ISSUER');
    expect(codeOf(() => readCredential(issue(`${did}#k1`), 'c', NONE))).toBe('TG_CREDENTIAL_ISSUER');
  });

  it('signs with no key that is there for another use', () => {
    const both = readDidDocument(document([method('#k1'), method('#k2')], ['#k2']), 'did.json');
    expect(both.keys.map(({ kid }) => kid)).toEqual([`${did}#k2`]);
    for (const bad of [
      document([method('#k1')], []),
      document([method('did:web:evil.example#k1')], ['did:web:evil.example#k1']),
      document([method('#k1', { controller: 'did:web:evil.example' })], ['#k1']),
      bytesOf('[]'),
      bytesOf('{'),
    ])
      expect(codeOf(() => readDidDocument(bad, 'did.json'))).toBe('TG_CREDENTIAL_ISSUER');
  });
});

describe('a status list', () => {
  it('reads the example of the standard', () => {
    // Bitstring Status List v1.0, example of a status list credential: 131,072 bits, none set.
    const encodedList = 'uH4sIAAAAAAAAA-3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA';
    const payload = JSON.parse(payloadOf(list('revocation', [7]))) as { credentialSubject: Record<string, unknown> };
    payload.credentialSubject.encodedList = encodedList;
    const document = read(signed(payload));
    expect(
      document.kind === 'status' && [
        statusBit(document.list, 7),
        statusBit(document.list, 131_071),
        statusBit(document.list, 131_072),
      ],
    ).toEqual([false, false, null]);
  });

  it('counts its bits from the left, as the standard does', () => {
    const document = read(list('revocation', [0, 9, 131_071]));
    const bits = document.kind === 'status' ? document.list.bits : new Uint8Array();
    expect([bits[0], bits[1], bits[16_383]]).toEqual([0x80, 0x40, 0x01]);
  });

  it('is refused when it is shorter than the standard asks, or unpacks without end', async () => {
    const { gzipSync } = await import('node:zlib');
    const carrying = (encodedList: string) => {
      const payload = JSON.parse(payloadOf(list('revocation', []))) as { credentialSubject: Record<string, unknown> };
      payload.credentialSubject.encodedList = encodedList;
      return signed(payload);
    };
    const packed = (size: number) => `u${gzipSync(Buffer.alloc(size)).toString('base64url')}`;
    expect(codeOf(() => read(carrying(packed(16 * 1024))))).toBe('taken');
    for (const bad of [
      packed(100),
      packed(64 * 2 ** 20),
      'uAAAA',
      'z',
      packed(16 * 1024).slice(1),
      `${packed(16 * 1024)}=`,
    ])
      expect(codeOf(() => read(carrying(bad)))).toBe('TG_CREDENTIAL_STATUS');
  });
});
