import type { ErrorEntry } from '../errors.ts';

const NOT_LOADED = 'The document was not loaded; what was in force before stays in force.';

export const POLICY_ERRORS = {
  TG_POLICY_SYNTAX: {
    cause: 'An agreement or law pack is not JSON in UTF-8 without duplicate keys.',
    remedy: NOT_LOADED,
  },
  TG_POLICY_CONTEXT: {
    cause: 'An agreement uses a JSON-LD context other than the pinned one; contexts are never fetched.',
    remedy: `Use the context of the profile auto-odrl/1 word by word. ${NOT_LOADED}`,
  },
  TG_POLICY_PROFILE: {
    cause: 'A policy does not name the profile auto-odrl/1.',
    remedy: `Name the profile of auto-odrl/1. ${NOT_LOADED}`,
  },
  TG_POLICY_TYPE: {
    cause: 'A policy, party or target has a type that auto-odrl/1 lacks.',
    remedy: `Policies are an Agreement, a Set (law pack) or an Offer; parties and targets may be collections. ${NOT_LOADED}`,
  },
  TG_POLICY_CONFLICT: {
    cause: 'A policy asks for a conflict strategy other than "prohibit".',
    remedy: `Leave "conflict" out or write "prohibit": a prohibition always wins here. ${NOT_LOADED}`,
  },
  TG_POLICY_UNKNOWN_KEY: {
    cause: 'A policy has a key that auto-odrl/1 lacks, or that this version does not enforce.',
    remedy: `Remove or correct the key: nothing of a policy is ignored. ${NOT_LOADED}`,
  },
  TG_POLICY_UNKNOWN_OPERAND: {
    cause: 'A constraint has a left operand that auto-odrl/1 lacks.',
    remedy: `Correct the operand: a constraint that is not understood would open access. ${NOT_LOADED}`,
  },
  TG_POLICY_UNKNOWN_OPERATOR: {
    cause: 'A constraint has an operator that ODRL lacks, or that its left operand does not take.',
    remedy: NOT_LOADED,
  },
  TG_POLICY_UNKNOWN_ACTION: {
    cause: 'A rule has an action that auto-odrl/1 lacks.',
    remedy: NOT_LOADED,
  },
  TG_POLICY_UNSUPPORTED: {
    cause: 'A policy uses a word that the unit cannot hold, or a foreign one has what auto-odrl/1 cannot say.',
    remedy: `Agree without it, or wait for a version that enforces it: it is refused rather than ignored. ${NOT_LOADED}`,
  },
  TG_POLICY_VALUE: {
    cause: 'A value of a policy is missing or does not have the form that its key asks for.',
    remedy: NOT_LOADED,
  },
  TG_POLICY_CONTEXT_SOURCE: {
    cause:
      'A "context" entry of the configuration names an operand or a signal that does not exist, or one without a fitting unit.',
    remedy: 'Name a signal of the databases, "assume-<value>" or "none"; unknown context fails closed.',
  },
  TG_POLICY_DUPLICATE: {
    cause: 'Two documents carry the same name: two agreements or law packs of one uid, or two campaigns of one name.',
    remedy: 'Load one version of each document.',
  },
  TG_CAMPAIGN_SYNTAX: {
    cause: 'A campaign is not plain YAML.',
    remedy: 'Mend the line; the campaign was not loaded.',
  },
  TG_CAMPAIGN_UNKNOWN_KEY: {
    cause: 'A campaign has a key that this version does not know.',
    remedy: 'Remove or correct the key; the campaign was not loaded.',
  },
  TG_CAMPAIGN_VALUE: {
    cause: 'A value of a campaign is missing or does not have the form that its key asks for.',
    remedy: 'Correct the value; the campaign was not loaded.',
  },
  TG_CREDENTIAL_FORM: {
    cause: 'A credential is not a compact JWS (vc+jwt) with the header that this unit takes: alg, kid, typ.',
    remedy: `Issue it as vc+jwt. ${NOT_LOADED}`,
  },
  TG_CREDENTIAL_ALGORITHM: {
    cause: 'A credential names a signature algorithm that is not taken, "none" among them.',
    remedy: `Sign with EdDSA (Ed25519) or ES256 (P-256). ${NOT_LOADED}`,
  },
  TG_CREDENTIAL_SYNTAX: {
    cause: 'The payload of a credential is not JSON in UTF-8 without duplicate keys, or is nested too deeply.',
    remedy: NOT_LOADED,
  },
  TG_CREDENTIAL_UNKNOWN_KEY: {
    cause: 'A credential has a key that this version does not know.',
    remedy: `Remove or correct the key: nothing of a credential is ignored. ${NOT_LOADED}`,
  },
  TG_CREDENTIAL_VALUE: {
    cause: 'A value of a credential is missing or does not have the form that its key asks for.',
    remedy: NOT_LOADED,
  },
  TG_CREDENTIAL_ISSUER: {
    cause: 'The issuer of a credential is not one that this unit believes, or its key is not at hand.',
    remedy: `Owners and bodies that rate recipients stand in unit/issuers.json, with the DID documents of did:web. ${NOT_LOADED}`,
  },
  TG_CREDENTIAL_SIGNATURE: {
    cause: 'The issuer that a credential names did not sign it.',
    remedy: `Ask the issuer for the document; it may have been changed on its way. ${NOT_LOADED}`,
  },
  TG_CREDENTIAL_EXPIRED: {
    cause: 'A credential was over when it came.',
    remedy: `Ask the issuer for a new one. ${NOT_LOADED}`,
  },
  TG_CREDENTIAL_STATUS: {
    cause: 'A status list does not unpack to a bitstring of a size that is taken.',
    remedy: `Ask its issuer for the list; the one before stays until it is too old. ${NOT_LOADED}`,
  },
  TG_CONSENT_VERSION: {
    cause:
      'A document carries a version that is not above the newest one of its issuer and subject: a replay, or a copy.',
    remedy: `Issue it with a higher version. ${NOT_LOADED}`,
  },
  TG_CONSENT_OWNER: {
    cause: "A consent is signed by someone who is not this vehicle's owner, or names another assigner.",
    remedy: `Sign with the key of the owner (unit/issuers.json). ${NOT_LOADED}`,
  },
  TG_CONSENT_UNIT: {
    cause: 'A consent is for another unit.',
    remedy: `Issue it for the name of this unit's ledger key. ${NOT_LOADED}`,
  },
  TG_CONSENT_ENDED: {
    cause: 'A consent speaks of an agreement that was withdrawn, is over, or was never given.',
    remedy: `Grant anew under a new uid: withdrawing is for ever. ${NOT_LOADED}`,
  },
  TG_CONSENT_BUNDLED: {
    cause: 'An agreement permits data of a sensitive class (trajectory, audio, image, biometric) together with others.',
    remedy: `Write one agreement for the sensitive class and one for the rest. ${NOT_LOADED}`,
  },
  TG_CONSENT_LIMIT: {
    cause: 'A document of the kind "limit" opens something that was closed, or there is nothing that it could limit.',
    remedy: `Narrow targets or add prohibitions; to open more, grant. ${NOT_LOADED}`,
  },
  TG_CONSENT_ROLLBACK: {
    cause:
      'The trust anchor has counted starts or consents that the state folder does not know of: an older copy was put back.',
    remedy: 'Nothing is sent. Put the newest state folder back, or enrol the unit anew and have its owner grant anew.',
  },
  TG_OPERATION_INPUT: {
    cause: 'An operation was made with inputs that it cannot work on.',
    remedy: 'This is a defect of the plan: please report it with the output of `tollgate check`.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
