import type { ErrorEntry } from '../errors.ts';

export const WIRE_ERRORS = {
  TG_WIRE_RECORD_VALUE: {
    cause: 'A table does not fit the schema of its stream: a value or a time has no exact place in its column.',
    remedy: 'Times are whole ms that do not decrease; whole numbers have at most 53 bits. Nothing was written.',
  },
  TG_WIRE_RECORD_TOO_LARGE: {
    cause: 'A record has more rows, cells or bytes than a record may hold.',
    remedy: 'Shorten `record.every` of the campaign; the limits stand in wire/columns/README.md.',
  },
  TG_WIRE_RECORD_MALFORMED: {
    cause: 'Bytes said to be a record are none under this schema.',
    remedy: 'Nothing of the record was kept. Check that schema and record belong to one session and one version.',
  },
  TG_WIRE_CBOR: {
    cause: 'Bytes are not the deterministic CBOR of this project (RFC 8949 §4.2.1).',
    remedy: 'Nothing was kept. Check that both ends are of one version; a third party may have changed the bytes.',
  },
  TG_WIRE_COSE: {
    cause:
      'Bytes are no COSE message of the expected kind, or name an algorithm or a critical header that is not known.',
    remedy: 'Nothing was kept. Check that both ends are of one version.',
  },
  TG_WIRE_KEY: {
    cause: 'A key is not of the kind that this use needs.',
    remedy: 'Check the JWK: X25519 for sealing, Ed25519 for signing.',
  },
  TG_WIRE_MALFORMED: {
    cause: 'A structure of the wire does not have the shape that its CDDL gives.',
    remedy: 'Nothing was kept. Check that both ends are of one version.',
  },
  TG_WIRE_SEAL: {
    cause: 'Sealed bytes do not open: they were changed, moved to another topic, or sealed for somebody else.',
    remedy: 'Nothing was kept. If it repeats, look for who changes messages on the way.',
  },
  TG_WIRE_SEQ: {
    cause: 'A record was to be sealed under a number that is not above the last one: its nonce could be used twice.',
    remedy: 'Nothing was sealed. The unit begins a new stream at its next start; report this as a defect.',
  },
  TG_WIRE_SIGNATURE: {
    cause: 'A signature is not that of the key that should have made it.',
    remedy: 'Nothing was kept. Check the enrolled keys of both ends.',
  },
  TG_WIRE_TOPIC: {
    cause: 'A tenant or a pseudonym cannot be part of a topic.',
    remedy: 'A tenant is [a-z0-9-]{1,32}; a pseudonym is 16 bytes as 22 characters of base64url.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
