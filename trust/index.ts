/** Keys and anchors: the software anchor and the documents of enrolment. */
export {
  ACK_KEY_FILE,
  type EnrolmentDocument,
  type EnrolmentRequest,
  enrolment,
  HPKE_KEY_FILE,
  ISSUERS_FILE,
  jsonText,
  LEDGER_KEY_FILE,
  OWNER_KEY_FILE,
  ownerDocuments,
  RECIPIENTS_FILE,
  type RecipientKeys,
  recipientDocuments,
  TRUSTED_FILE,
  UNITS_FILE,
} from './enrolment.ts';
export {
  type Curve,
  ed25519Signer,
  jwkFromSeed,
  jwkProblem,
  KEY_BYTES,
  ledgerVerifierKey,
  publicJwk,
} from './keys.ts';
export { MAX_SECRET_BYTES, type SoftwareAnchorParts, softwareAnchor } from './software-anchor.ts';
export type { AnchorStorage } from './storage.ts';
