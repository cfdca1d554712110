import { createPublicKey, hash, verify } from 'node:crypto';
import type { TrustAnchor } from '#contracts';
import { treeHasher } from './merkle.ts';
import { type NoteSigner, parseVerifierKey, type VerifierCrypto } from './note.ts';

/** What the verifier needs of the platform, as Node gives it. A browser gives its own. */

// One call into OpenSSL without a hash object: 1.3 to 1.8 times as fast at the sizes of leaves and nodes.
const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer');

export const nodeCrypto: VerifierCrypto = {
  sha256,
  ed25519: (publicKey, message, signature) => {
    const x = Buffer.from(publicKey).toString('base64url');
    return guarded(() =>
      verify(null, message, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }), signature),
    );
  },
  ecdsaP256: (spki, message, signature) =>
    guarded(() => {
      const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
      if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return false;
      return verify('sha256', message, { key, dsaEncoding: 'der' }, signature);
    }),
};

/** A key or signature that OpenSSL cannot even read verifies nothing. */
function guarded(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

/** RFC 9162 hashes by Node's SHA-256. */
export const sha256Tree = treeHasher(sha256);

/** The unit's ledger key as a signer of checkpoints. */
export function anchorSigner(anchor: TrustAnchor): NoteSigner {
  const key = parseVerifierKey(anchor.describe().verifierKey, nodeCrypto);
  return { key, sign: (message) => anchor.sign(message) };
}
