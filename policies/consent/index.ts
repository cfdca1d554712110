/** Consent as the owner gives, narrows and takes it back, and what of it holds at a moment. */
export {
  type AgreementDocument,
  type ConsentActDocument,
  type ConsentDocument,
  type OwnershipDocument,
  readConsentDocument,
  type StandingDocument,
  type StatusDocument,
} from './document.ts';
export { type InForce, inForce, type RecipientFacts } from './in-force.ts';
export {
  agreementCredential,
  consentCredential,
  type Envelope,
  ownershipCredential,
  standingCredential,
  statusListCredential,
} from './issue.ts';
export { bundled, classesOf, type SensitiveClass, sensitiveClass } from './sensitive.ts';
export {
  accept,
  type ConsentState,
  emptyState,
  end,
  type Held,
  type Judge,
  statusLists,
  type Verdict,
  versionKey,
} from './state.ts';
