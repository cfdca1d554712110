import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatError, TollgateError } from '#contracts';
import {
  anchorSigner,
  derSignature,
  formatNote,
  formatVerifierKey,
  nodeCrypto,
  parseNote,
  parseVerifierKey,
  signNote,
  TYPE_COSIGNATURE,
  TYPE_ECDSA,
  TYPE_ED25519,
  verifierKey,
  verifyNote,
} from '#ledger';
import { jwkFromSeed, softwareAnchor } from '#trust';
import { memoryStorage } from '../trust/memory.ts';
import { dice, mutate, testSigner } from './logs.ts';

/** The example of C2SP signed-note. */
const EXAMPLE_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const EXAMPLE_NOTE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

const messageOf = (read: () => unknown): string => {
  try {
    read();
    return '';
  } catch (error) {
    return error instanceof TollgateError ? formatError(error).split('\n')[0]! : `not typed: ${error}`;
  }
};

describe('a signed note', () => {
  const key = parseVerifierKey(EXAMPLE_KEY, nodeCrypto);

  it('of the C2SP specification verifies under its key and prints as it came', async () => {
    const note = parseNote(EXAMPLE_NOTE);
    expect(note.text).toBe('This is an example message.\n');
    expect(await verifyNote(note, [key], nodeCrypto)).toEqual({ ok: true, verified: [key], wrong: [] });
    expect(formatNote(note)).toBe(EXAMPLE_NOTE);
    expect(formatVerifierKey(key)).toBe(EXAMPLE_KEY);
  });

  it('verifies for nobody when its text changes, or under no known key', async () => {
    const changed = parseNote(EXAMPLE_NOTE.replace('example message', 'example massage'));
    expect(await verifyNote(changed, [key], nodeCrypto)).toEqual({ ok: false, verified: [], wrong: [key] });
    const other = testSigner().key;
    expect(await verifyNote(parseNote(EXAMPLE_NOTE), [other], nodeCrypto)).toMatchObject({ ok: false, wrong: [] });
  });

  it('is refused whole when one of two known keys signed wrongly', async () => {
    const signer = testSigner();
    const good = await signNote('This is an example message.\n', signer);
    const both = EXAMPLE_NOTE + good.split('\n\n')[1]!;
    expect((await verifyNote(parseNote(both), [key, signer.key], nodeCrypto)).ok).toBe(true);
    const wrong = both.replace('Uw2QOkn8', 'Uw2QOkn9');
    const verdict = await verifyNote(parseNote(wrong), [key, signer.key], nodeCrypto);
    expect(verdict).toEqual({ ok: false, verified: [signer.key], wrong: [key] });
    expect((await verifyNote(parseNote(wrong), [signer.key], nodeCrypto)).ok, 'a stranger signed wrongly').toBe(true);
  });

  it('takes text with empty lines: the last one separates', async () => {
    const signer = testSigner();
    const text = 'one\n\nthree\n';
    const note = parseNote(await signNote(text, signer));
    expect(note.text).toBe(text);
    expect((await verifyNote(note, [signer.key], nodeCrypto)).ok).toBe(true);
  });

  it('ignores a signature line too short to name a key', async () => {
    const note = parseNote(`${EXAMPLE_NOTE}— example.org/log DEAD\n`);
    expect(note.signatures[1]).toMatchObject({ keyId: null });
    expect(formatNote(note)).toBe(`${EXAMPLE_NOTE}— example.org/log DEAD\n`);
    expect((await verifyNote(note, [key], nodeCrypto)).ok).toBe(true);
  });

  it('is refused with line and reason when its form is wrong', () => {
    const cases: [string, string][] = [
      ['no signatures\n', 'TG_LEDGER_NOTE  the note has no empty line between text and signatures'],
      [EXAMPLE_NOTE.slice(0, -1), 'TG_LEDGER_NOTE  the note does not end with a newline'],
      ['a\tb\n\n— x AAAAAAAA\n', '1  TG_LEDGER_NOTE  the note has a control character'],
      ['a\n\n- x AAAAAAAA\n', '3  TG_LEDGER_NOTE  a signature line reads "— name base64", this one does not'],
      ['a\n\n— x+y AAAAAAAA\n', '3  TG_LEDGER_NOTE  a signature line reads "— name base64", this one does not'],
      [
        'a\n\n— x AAAAAAAA\n— x AAAAA\n',
        '4  TG_LEDGER_NOTE  a signature line reads "— name base64", this one does not',
      ],
      ['a\n\n— x\u2003y AAAAAAAA\n', '3  TG_LEDGER_NOTE  a signature line reads "— name base64", this one does not'],
      ['a\ud800\n\n— x AAAAAAAA\n', 'TG_LEDGER_NOTE  the note is not valid Unicode'],
      [`a\n\n${'— x AAAAAAAA\n'.repeat(101)}`, 'TG_LEDGER_NOTE  the note has 101 signatures, at most 100'],
      ['a'.repeat(1_000_001), 'TG_LEDGER_NOTE  the note has 1000001 characters, at most 1000000'],
      // Bits beyond the last byte: another text of the same signature.
      ['a\n\n— x AAAAAAB=\n', '3  TG_LEDGER_NOTE  a signature line reads "— name base64", this one does not'],
    ];
    for (const [note, message] of cases) expect(messageOf(() => parseNote(note))).toBe(message);
  });

  it('accepts 100 signatures', () => {
    expect(parseNote(`a\n\n${'— x AAAAAAAA\n'.repeat(100)}`).signatures).toHaveLength(100);
  });

  it('made by mutation is refused with a typed error or does not verify', async () => {
    const roll = dice(11);
    for (let i = 0; i < 3000; i++) {
      const text = mutate(EXAMPLE_NOTE, roll);
      if (text === EXAMPLE_NOTE) continue;
      try {
        const note = parseNote(text);
        expect(formatNote(note), 'what parses prints as it came').toBe(text);
        const { ok } = await verifyNote(note, [key], nodeCrypto);
        // A doubled signature line is the one harmless change.
        if (ok) expect(note.text).toBe('This is an example message.\n');
      } catch (error) {
        expect(error).toBeInstanceOf(TollgateError);
      }
    }
  });
});

describe('a verifier key', () => {
  it('is refused when a part is malformed, the id is not its own, or the type is not supported', () => {
    const cases: [string, string][] = [
      ['', 'a key reads name+id+base64'],
      ['example.com/foo+530d903a', 'a key reads name+id+base64'],
      [EXAMPLE_KEY.replace('example.com/foo', ''), 'the name is empty or holds a space'],
      [EXAMPLE_KEY.replace('/foo', '/f oo'), 'the name is empty or holds a space'],
      [EXAMPLE_KEY.replace('530d903a', '530D903A'), 'the id is not 8 hexadecimal digits'],
      [EXAMPLE_KEY.replace('530d903a', '530d903b'), 'the id is not the id of this key'],
      [EXAMPLE_KEY.replace('/foo', '/fop'), 'the id is not the id of this key'],
      [EXAMPLE_KEY.replace('Aeky', '?eky'), 'the key is not base64'],
      [EXAMPLE_KEY.replace('+Aeky', '+Beky'), 'signature type 5 is not supported'],
      [`${EXAMPLE_KEY}AAAA`, 'an Ed25519 key has 32 bytes'],
    ];
    for (const [text, message] of cases) expect(messageOf(() => parseVerifierKey(text, nodeCrypto))).toContain(message);
  });

  it('may hold plus signs in its base64', () => {
    const signer = Array.from({ length: 255 }, (_, i) => testSigner(i)).find(({ key }) => {
      return formatVerifierKey(key).split('+').length > 3;
    })!;
    expect(parseVerifierKey(formatVerifierKey(signer.key), nodeCrypto)).toEqual(signer.key);
  });
});

describe('a signer', () => {
  it('with ECDSA P-256 makes notes that verify, from the P1363 signatures that a TPM gives', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
    const key = verifierKey('tollgate/test', TYPE_ECDSA, spki, nodeCrypto);
    const signer = {
      key,
      sign: async (message: Uint8Array) => sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
    };
    // Enough signatures that r and s come with and without a leading zero.
    for (let i = 0; i < 64; i++) {
      const note = parseNote(await signNote(`text ${i}\n`, signer));
      expect((await verifyNote(note, [key], nodeCrypto)).ok).toBe(true);
      expect((await verifyNote({ ...note, text: 'other\n' }, [key], nodeCrypto)).ok).toBe(false);
    }
    expect(parseVerifierKey(formatVerifierKey(key), nodeCrypto)).toEqual(key);
  });

  it('on another curve than P-256 verifies nothing', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const message = Buffer.from('text');
    expect(await nodeCrypto.ecdsaP256(spki, message, sign('sha256', message, privateKey))).toBe(false);
    expect(await nodeCrypto.ecdsaP256(new Uint8Array(3), message, message)).toBe(false);
    expect(await nodeCrypto.ed25519(new Uint8Array(3), message, message)).toBe(false);
  });

  it('writes DER integers without needless zeros and with a sign byte', () => {
    const p1363 = new Uint8Array(64);
    p1363[31] = 1;
    p1363[32] = 0x80;
    const der = Buffer.from(derSignature(p1363)).toString('hex');
    expect(der).toBe(`3026020101022100${'80'.padEnd(64, '0')}`);
    expect(Buffer.from(derSignature(new Uint8Array(64))).toString('hex')).toBe('3006020100020100');
  });

  it('is the software anchor of a unit', async () => {
    const ledgerKey = jwkFromSeed('Ed25519', new Uint8Array(32).fill(1));
    const signer = anchorSigner(
      softwareAnchor({ ledgerKey, storage: memoryStorage(), random: (n) => new Uint8Array(n) }),
    );
    expect(signer.key).toEqual(testSigner(1).key);
    const note = parseNote(await signNote('head\n', signer));
    expect((await verifyNote(note, [signer.key], nodeCrypto)).ok).toBe(true);
  });

  it('signs nothing that could not be read back', async () => {
    await expect(signNote('no newline', testSigner())).rejects.toThrow('ends with a newline');
    await expect(signNote('a\tb\n', testSigner())).rejects.toThrow('control character');
  });
});

describe('a cosignature', () => {
  it('of a witness signs time and text, and no other time', async () => {
    const { key: logKey, sign: signBytes } = testSigner(9);
    const key = verifierKey('witness.example/w', TYPE_COSIGNATURE, logKey.publicKey, nodeCrypto);
    const text = 'tollgate/log\n1\nAAAA\n';
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(1_679_315_147n);
    const raw = await signBytes(Buffer.from(`cosignature/v1\ntime 1679315147\n${text}`));
    const note = (signature: Uint8Array) => ({ text, signatures: [{ name: key.name, keyId: key.keyId, signature }] });
    const signature = Buffer.concat([time, raw]);
    expect((await verifyNote(note(signature), [key], nodeCrypto)).ok).toBe(true);
    for (const at of [0, 7, 8, 71]) {
      const flipped = Buffer.from(signature);
      flipped[at]! ^= 1;
      expect((await verifyNote(note(flipped), [key], nodeCrypto)).ok).toBe(false);
    }
    expect((await verifyNote(note(raw), [key], nodeCrypto)).ok).toBe(false);
    expect(key.type).not.toBe(TYPE_ED25519);
  });
});
