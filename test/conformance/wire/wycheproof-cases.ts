import type { JsonWebKey } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HkdfSha256 } from '@hpke/core';
import { open, seal } from '#wire/aead';
import { ALG_ES256, verifySignature } from '#wire/cose';
import { cameTo, fromHex, hex, REFUSED, type Report } from './report.ts';

type Verdict = 'valid' | 'invalid' | 'acceptable';

interface Suite<Group, Case> {
  readonly testGroups: readonly (Group & { readonly tests: readonly (Case & Common)[] })[];
}

interface Common {
  readonly tcId: number;
  readonly comment: string;
  readonly result: Verdict;
}

function read<Group, Case>(folder: string, file: string): Suite<Group, Case> | null {
  const path = join(folder, 'wycheproof', file);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null;
}

/** `acceptable`: either is right; the runner then asks only that nothing untyped comes out. */
function judge(report: Report, group: string, { tcId, comment, result }: Common, came: string, right: string): void {
  const wanted = result === 'valid' ? right : result === 'invalid' || came !== right ? REFUSED : right;
  report.compare(group, `wycheproof ${group} ${tcId} (${comment})`, came, wanted);
}

export async function wycheproofCases(folder: string, report: Report): Promise<void> {
  await chachaCases(folder, report);
  await ecdsaCases(folder, report);
  await hkdfCases(folder, report);
}

async function chachaCases(folder: string, report: Report): Promise<void> {
  type Case = { key: string; iv: string; aad: string; msg: string; ct: string; tag: string };
  for (const { tests } of read<object, Case>(folder, 'chacha20_poly1305_test.json')?.testGroups ?? []) {
    for (const one of tests) {
      const [key, iv, aad, msg] = [one.key, one.iv, one.aad, one.msg].map(fromHex) as Uint8Array[];
      const sealed = fromHex(one.ct + one.tag);
      const came = await cameTo(() => {
        const plain = hex(open('chacha20-poly1305', key!, iv!, aad!, sealed));
        return `${plain} ${hex(seal('chacha20-poly1305', key!, iv!, aad!, msg!))}`;
      });
      judge(report, 'chacha20-poly1305', one, came, `${one.msg} ${hex(sealed)}`);
    }
  }
}

async function ecdsaCases(folder: string, report: Report): Promise<void> {
  type Group = { publicKey: { uncompressed: string } };
  type Case = { msg: string; sig: string };
  for (const group of read<Group, Case>(folder, 'ecdsa_secp256r1_sha256_p1363_test.json')?.testGroups ?? []) {
    const point = Buffer.from(group.publicKey.uncompressed, 'hex');
    const half = (at: number) => point.subarray(at, at + 32).toString('base64url');
    const key: JsonWebKey = { kty: 'EC', crv: 'P-256', x: half(1), y: half(33) };
    for (const one of group.tests) {
      const came = await cameTo(() =>
        verifySignature(ALG_ES256, key, fromHex(one.msg), fromHex(one.sig)) ? 'accepted' : REFUSED,
      );
      judge(report, 'ecdsa-p256', one, came, 'accepted');
    }
  }
}

/** The KDF that the HPKE suite holds. */
async function hkdfCases(folder: string, report: Report): Promise<void> {
  type Case = { ikm: string; salt: string; info: string; size: number; okm: string };
  const kdf = new HkdfSha256();
  kdf.init(new Uint8Array());
  const buffer = (text: string) => new Uint8Array(fromHex(text)).buffer;
  for (const { tests } of read<object, Case>(folder, 'hkdf_sha256_test.json')?.testGroups ?? []) {
    for (const one of tests) {
      // A library of others: any error of its own is its refusal.
      const came = await kdf
        .extractAndExpand(buffer(one.salt), buffer(one.ikm), buffer(one.info), one.size)
        .then((okm) => hex(new Uint8Array(okm)))
        .catch(() => REFUSED);
      judge(report, 'hkdf-sha256', one, came, one.okm);
    }
  }
}
