/** Verifiable credentials as the unit reads them: `vc+jwt`, did:key and pinned did:web, Bitstring Status List. */
export { decodeBase58, encodeBase58 } from './base58.ts';
export {
  CONTEXT_CONSENT,
  CONTEXT_VC,
  type Credential,
  type CredentialType,
  looksLikeCredential,
  readCredential,
  type StatusEntry,
  within,
} from './credential.ts';
export {
  type Algorithm,
  DID,
  didKey,
  didKeyId,
  didKeyOf,
  type IssuerKey,
  issuerKey,
  type PinnedDocuments,
  readDidDocument,
} from './did.ts';
export { isSignedBy, type ParsedJws, parseJws, signJws } from './jws.ts';
export { readStatusList, type StatusList, statusBit } from './status-list.ts';
export { listKey, MAX_STATUS_AGE_MS, nextEdge, type StatusLists, type Validity, validity } from './validity.ts';
