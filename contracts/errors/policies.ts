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
    cause: 'A policy has a type that this version does not put in force.',
    remedy: `Agreement and Set (law pack) are taken. ${NOT_LOADED}`,
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
    cause: 'A policy uses a word of auto-odrl/1 that this version cannot enforce.',
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
  TG_OPERATION_INPUT: {
    cause: 'An operation was made with inputs that it cannot work on.',
    remedy: 'This is a defect of the plan: please report it with the output of `tollgate check`.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
