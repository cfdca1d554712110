import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import {
  formatCheckpointBody,
  formatReceipt,
  HASH_BYTES,
  inclusionProof,
  nodeCrypto,
  parseCheckpoint,
  parseReceipt,
  rootFromRange,
  sha256Tree,
  signCheckpoint,
  TYPE_COSIGNATURE,
  verifierKey,
  verifyCheckpoint,
  verifyInclusion,
} from '#ledger';
import { dice, mutate, testSigner } from './logs.ts';
import { grow, leafBytes } from './trees.ts';

const signer = testSigner();
const root = new Uint8Array(HASH_BYTES).fill(0x5a);
const errorOf = (read: () => unknown): string => {
  try {
    read();
    return '';
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error;
    return `${error.code} line ${error.place.line}`;
  }
};

describe('a checkpoint', () => {
  it('has the name of its key as origin: tollgate/ and the first 8 bytes of the key hash', async () => {
    const checkpoint = parseCheckpoint(await signCheckpoint(3, root, signer));
    expect(checkpoint.origin).toMatch(/^tollgate\/[0-9a-f]{16}$/);
    expect(checkpoint).toMatchObject({ origin: signer.key.name, size: 3, rest: '' });
    expect(Buffer.from(checkpoint.root)).toEqual(Buffer.from(root));
    expect(await verifyCheckpoint(checkpoint, [signer.key], nodeCrypto)).toBe(true);
  });

  it('is signed for sizes up to 2^53 − 1 and no others', async () => {
    expect(parseCheckpoint(await signCheckpoint(Number.MAX_SAFE_INTEGER, root, signer)).size).toBe(2 ** 53 - 1);
    for (const size of [-1, 0.5, 2 ** 53]) await expect(signCheckpoint(size, root, signer)).rejects.toThrow(RangeError);
    await expect(signCheckpoint(1, new Uint8Array(31), signer)).rejects.toThrow(RangeError);
  });

  it('is not that of a log whose key is not its origin, nor that of a witness alone', async () => {
    const note = (await signCheckpoint(3, root, signer)).split('\n\n')[1]!;
    expect(note).toContain(signer.key.name);
    const stranger = { ...signer, key: verifierKey('other/log', 1, signer.key.publicKey, nodeCrypto) };
    const body = formatCheckpointBody({ origin: 'tollgate/0000000000000000', size: 3, root, rest: '' });
    const { signNote } = await import('#ledger');
    const signed = parseCheckpoint(await signNote(body, stranger));
    expect(await verifyCheckpoint(signed, [stranger.key], nodeCrypto)).toBe(false);
    const witness = verifierKey(signer.key.name, TYPE_COSIGNATURE, signer.key.publicKey, nodeCrypto);
    expect(await verifyCheckpoint(parseCheckpoint(await signCheckpoint(3, root, signer)), [witness], nodeCrypto)).toBe(
      false,
    );
  });

  it('is refused with the line when its form is wrong', async () => {
    const good = await signCheckpoint(12, root, signer);
    const lines = (change: (lines: string[]) => void) => {
      const all = good.split('\n');
      change(all);
      return all.join('\n');
    };
    const cases: [string, string][] = [
      [lines((all) => (all[0] = '')), 'TG_LEDGER_CHECKPOINT line 1'],
      [lines((all) => (all[1] = '012')), 'TG_LEDGER_CHECKPOINT line 2'],
      [lines((all) => (all[1] = '+12')), 'TG_LEDGER_CHECKPOINT line 2'],
      [lines((all) => (all[1] = '9007199254740992')), 'TG_LEDGER_CHECKPOINT line 2'],
      [lines((all) => (all[2] = 'AAAA')), 'TG_LEDGER_CHECKPOINT line 3'],
      [lines((all) => (all[2] = all[2]!.replace('=', ''))), 'TG_LEDGER_CHECKPOINT line 3'],
      [lines((all) => all.splice(3, 0, 'extension', '', 'more')), 'TG_LEDGER_CHECKPOINT line 4'],
      [lines((all) => all.splice(2, 1)), 'TG_LEDGER_CHECKPOINT line 3'],
    ];
    for (const [text, error] of cases)
      expect(
        errorOf(() => parseCheckpoint(text)),
        text,
      ).toBe(error);
    expect(parseCheckpoint(lines((all) => all.splice(3, 0, 'extension'))).rest).toBe('extension\n');
  });

  it('made by mutation is refused with a typed error or does not verify', async () => {
    const good = await signCheckpoint(12, root, signer);
    const body = good.split('\n\n')[0]!;
    const roll = dice(5);
    for (let i = 0; i < 3000; i++) {
      const text = mutate(good, roll);
      if (text === good) continue;
      try {
        const checkpoint = parseCheckpoint(text);
        if (await verifyCheckpoint(checkpoint, [signer.key], nodeCrypto))
          expect(text.startsWith(`${body}\n\n`)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(TollgateError);
      }
    }
  });
});

describe('a receipt', () => {
  const make = async (size: number, index: number, extra: Uint8Array | null) => {
    const tree = grow(size);
    const checkpoint = await signCheckpoint(size, rootFromRange(tree.range, sha256Tree), signer);
    return formatReceipt({ extra, index, path: inclusionProof(index, size, tree.node, sha256Tree), checkpoint });
  };

  it('is the text of C2SP tlog-proof, and is all that a third party needs', async () => {
    const text = await make(11, 7, leafBytes(7));
    expect(text.split('\n').slice(0, 3)).toEqual([
      'c2sp.org/tlog-proof@v1',
      `extra ${Buffer.from('leaf 7').toString('base64')}`,
      'index 7',
    ]);
    const { extra, index, path, head } = parseReceipt(text);
    expect(await verifyCheckpoint(head, [signer.key], nodeCrypto)).toBe(true);
    expect(verifyInclusion(sha256Tree, index, head.size, sha256Tree.leaf(extra!), path, head.root)).toBe(true);
  });

  it('prints as it came, with and without extra data and path', async () => {
    for (const text of [await make(1, 0, null), await make(1, 0, new Uint8Array(0)), await make(9, 8, leafBytes(1))]) {
      expect(formatReceipt(parseReceipt(text))).toBe(text);
    }
  });

  it('is refused with the line when its form is wrong', async () => {
    const good = await make(11, 7, leafBytes(7));
    const lines = (change: (lines: string[]) => void) => {
      const all = good.split('\n');
      change(all);
      return all.join('\n');
    };
    const cases: [string, string][] = [
      ['', 'TG_LEDGER_RECEIPT line 1'],
      [lines((all) => (all[0] = 'c2sp.org/tlog-proof@v2')), 'TG_LEDGER_RECEIPT line 1'],
      [lines((all) => (all[1] = 'extra ?')), 'TG_LEDGER_RECEIPT line 2'],
      [lines((all) => (all[2] = 'index 07')), 'TG_LEDGER_RECEIPT line 3'],
      [lines((all) => all.splice(2, 1)), 'TG_LEDGER_RECEIPT line 3'],
      [lines((all) => (all[3] = 'AAAA')), 'TG_LEDGER_RECEIPT line 4'],
      [lines((all) => all.splice(3, 0, ...Array(60).fill(all[3]!))), 'TG_LEDGER_RECEIPT line 4'],
      [lines((all) => (all[8] = '')), 'TG_LEDGER_CHECKPOINT line 1'],
    ];
    for (const [text, error] of cases)
      expect(
        errorOf(() => parseReceipt(text)),
        text,
      ).toBe(error);
  });

  it('made by mutation is refused with a typed error, or proves the same leaf, or nothing', async () => {
    const good = await make(11, 7, null);
    const roll = dice(3);
    for (let i = 0; i < 3000; i++) {
      const text = mutate(good, roll);
      if (text === good) continue;
      try {
        const { index, path, head } = parseReceipt(text);
        const proved = verifyInclusion(sha256Tree, index, head.size, sha256Tree.leaf(leafBytes(7)), path, head.root);
        if (proved && (await verifyCheckpoint(head, [signer.key], nodeCrypto))) expect(index).toBe(7);
      } catch (error) {
        expect(error).toBeInstanceOf(TollgateError);
      }
    }
  });
});
