import { X509Certificate } from 'node:crypto';

/** What is known of UTC, ms since 1970: it lies between the two; `highestMs` null: it may be any later time. */
export interface TimeBounds {
  readonly lowestMs: number;
  readonly highestMs: number | null;
}

/** id-kp-serverAuth, RFC 5280 §4.2.1.12. */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** What OpenSSL's security level 2 asks of keys, bits. */
const LEAST_RSA_BITS = 2_048;
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Whether the host's clock cannot be right: then OpenSSL, which asks it, cannot judge the dates of a certificate. */
export function isWrong(hostMs: number, { lowestMs, highestMs }: TimeBounds): boolean {
  return hostMs < lowestMs || (highestMs !== null && hostMs > highestMs);
}

/**
 * Judges a broker's certificate where the host's clock is wrong (docs/decisions/0015). The handshake has proved that the
 * broker holds its key. Stricter than OpenSSL: one of the configured CAs itself must have signed it, so that no limit that
 * an authority between them stands under can be passed over.
 *
 * @param host name or address that was connected to
 * @returns why it is not the broker's; null where it is
 */
export function judgeBroker(
  leaf: X509Certificate,
  authorities: string,
  host: string,
  isAddress: boolean,
  bounds: TimeBounds,
): string | null {
  const name = isAddress ? leaf.checkIP(host) : leaf.checkHost(host, { subject: 'never' });
  if (name === undefined) return `the certificate is not of ${host}`;
  if (leaf.keyUsage !== undefined && !leaf.keyUsage.includes(SERVER_AUTH)) return 'the certificate is of no server';
  const signer = (authorities.match(PEM) ?? [])
    .map((pem) => new X509Certificate(pem))
    .find((one) => one.ca && leaf.checkIssued(one) && leaf.verify(one.publicKey));
  if (signer === undefined) return 'no configured CA signed the certificate itself';
  for (const one of [leaf, signer]) {
    const { asymmetricKeyType, asymmetricKeyDetails } = one.publicKey;
    if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) < LEAST_RSA_BITS) {
      return 'a key is too short';
    }
    // Written so that a date that is none is refused.
    if (!(Date.parse(one.validTo) >= bounds.lowestMs)) return 'a certificate has expired';
    const { highestMs } = bounds;
    if (highestMs !== null && !(Date.parse(one.validFrom) <= highestMs)) return 'a certificate is not valid yet';
  }
  return null;
}
