import type { Term } from '../odrl/graph.ts';
import type { OdrlConstraint } from '../odrl/policy.ts';
import { localName } from '../odrl/world.ts';
import type { ImportTerms } from './foreign.ts';

/** A constraint of the profile, as JSON. */
export type Json = string | number | readonly Json[] | { readonly [key: string]: Json };

/** What a foreign constraint becomes: a constraint of the profile, true by agreement (with a note), or a refusal. */
export type Imported =
  | { readonly kind: 'constraint'; readonly json: Json }
  | { readonly kind: 'holds'; readonly note: string }
  | { readonly kind: 'refused'; readonly why: string };

type Translate = (constraint: OdrlConstraint, terms: ImportTerms) => Imported;

const SETS = ['eq', 'isAnyOf', 'isA', 'isPartOf'];
const MS_PER_DAY = 86_400_000;
/** `contractAgreement+30d`, EDC's way to write a time after the agreement. */
const RELATIVE = /^contractAgreement\s*([+-])\s*(\d{1,6})(s|m|h|d)$/;
const RELATIVE_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: MS_PER_DAY };
/** Terms of a contract between parties: the unit cannot check them, so they hold only where the owner says so. */
const CONTRACT_TERMS = [
  'FrameworkAgreement',
  'ContractReference',
  'ContractTermination',
  'Precedence',
  'VersionChanges',
  'ExclusiveUsage',
  'Warranty',
  'WarrantyDefinition',
  'WarrantyDurationMonths',
  'Liability',
  'ConfidentialInformationMeasures',
  'ConfidentialInformationSharing',
  'JurisdictionLocation',
  'JurisdictionLocationReference',
  'UsageRestriction',
  'AffiliatesRegion',
  'AffiliatesBpnl',
  'ManagedLegalEntityBpnl',
  'ManagedLegalEntityRegion',
  'BusinessPartnerGroup',
];

/** One row a foreign left operand, by its local name. What has no row is refused. */
const OPERANDS: Readonly<Record<string, Translate>> = {
  UsagePurpose: purpose,
  purpose,
  BusinessPartnerNumber: partner,
  BpnCredential: partner,
  recipient: partner,
  Membership: (constraint) =>
    isValue(constraint, 'eq', 'active')
      ? made('auto:recipientRole', 'eq', 'cx:ActiveMember')
      : refused(constraint, 'only "eq active" says something'),
  DataFrequency: (constraint) => {
    const value = single(constraint);
    if (constraint.operator.endsWith('eq') && /^cx\.dataFrequency\.once(:\d+)?$/.test(value))
      return made('count', 'lteq', 1);
    return /^cx\.dataFrequency\.unlimited(:\d+)?$/.test(value)
      ? { kind: 'holds', note: 'DataFrequency unlimited asks nothing' }
      : refused(constraint, `"${value}" is neither once nor unlimited`);
  },
  DataUsageEndDate: until,
  DataProvisioningEndDate: until,
  DataUsageEndDurationDays: untilDays,
  DataProvisioningEndDurationDays: untilDays,
  DataUsageEndDefinition: (constraint) =>
    /^cx\.dataUsageEnd\.unlimited(:\d+)?$/.test(single(constraint))
      ? { kind: 'holds', note: 'DataUsageEndDefinition unlimited asks nothing' }
      : refused(constraint, 'only "unlimited" can be read by the unit'),
  dateTime: moment,
  inForceDate: moment,
  count: (constraint) =>
    /^(lt|lteq)$/.test(localName(constraint.operator)) && /^\d{1,15}$/.test(single(constraint))
      ? made('count', localName(constraint.operator), Number(single(constraint)))
      : refused(constraint, 'a count is limited by lt or lteq of a whole number'),
};

/** Translates one atomic constraint. */
export function importAtom(constraint: OdrlConstraint, terms: ImportTerms): Imported {
  const name = localName(constraint.leftOperand);
  const agreed = terms.agreed?.[name];
  if (agreed !== undefined && values(constraint).every((value) => agreed.includes(value))) {
    return { kind: 'holds', note: `${name} ${values(constraint).join(', ')} is agreed outside the unit` };
  }
  if (Object.hasOwn(OPERANDS, name)) return OPERANDS[name]!(constraint, terms);
  if (CONTRACT_TERMS.includes(name)) {
    return refused(
      constraint,
      'it is a term between the parties, which the unit cannot check and the owner has not agreed',
    );
  }
  return refused(constraint, 'the profile auto-odrl/1 has nothing that means it');
}

function purpose(constraint: OdrlConstraint): Imported {
  const operator = localName(constraint.operator);
  if (!SETS.includes(operator) && operator !== 'isNoneOf' && operator !== 'neq') return unfit(constraint);
  const ids = values(constraint);
  const many = operator === 'isNoneOf' || ids.length > 1;
  return made('purpose', many && operator !== 'isNoneOf' ? 'isAnyOf' : operator, many ? ids : ids[0]!);
}

/** Partners by business partner number or DID; the owner's list says whose DID is whose. */
function partner(constraint: OdrlConstraint, terms: ImportTerms): Imported {
  const operator = localName(constraint.operator);
  if (!SETS.includes(operator) && operator !== 'isNoneOf' && operator !== 'neq') return unfit(constraint);
  const dids: string[] = [];
  for (const value of values(constraint)) {
    const did = value.startsWith('did:') ? value : terms.partners?.[value];
    if (did === undefined) return refused(constraint, `the DID of ${value} is not known here`);
    dids.push(did);
  }
  const none = operator === 'isNoneOf' || operator === 'neq';
  return made('recipient', none ? 'isNoneOf' : 'isAnyOf', dids);
}

function until(constraint: OdrlConstraint): Imported {
  const ms = Date.parse(single(constraint));
  if (localName(constraint.operator) !== 'eq' || Number.isNaN(ms)) return unfit(constraint);
  return dateTime('lteq', ms);
}

function untilDays(constraint: OdrlConstraint, { agreedMs }: ImportTerms): Imported {
  const days = single(constraint);
  if (localName(constraint.operator) !== 'eq' || !/^\d{1,6}$/.test(days)) return unfit(constraint);
  return agreedMs === undefined
    ? refused(constraint, 'it counts from the day of the agreement, which is not given')
    : dateTime('lteq', agreedMs + Number(days) * MS_PER_DAY);
}

function moment(constraint: OdrlConstraint, { agreedMs }: ImportTerms): Imported {
  const operator = localName(constraint.operator);
  if (!/^(lt|lteq|gt|gteq)$/.test(operator)) return unfit(constraint);
  const text = single(constraint);
  const relative = RELATIVE.exec(text);
  if (relative === null) {
    // Without a zone the same text would mean another moment on each machine.
    const ms = /(Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : Number.NaN;
    return Number.isNaN(ms) ? refused(constraint, `"${text}" is no moment with a zone`) : dateTime(operator, ms);
  }
  if (agreedMs === undefined) return refused(constraint, 'it counts from the day of the agreement, which is not given');
  const ms = Number(relative[2]) * RELATIVE_MS[relative[3]!]!;
  return dateTime(operator, agreedMs + (relative[1] === '-' ? -ms : ms));
}

function dateTime(operator: string, ms: number): Imported {
  if (!(Math.abs(ms) <= 8.64e15)) return { kind: 'refused', why: 'dateTime: beyond what a date can say' };
  return made('dateTime', operator, { '@value': new Date(ms).toISOString(), '@type': 'xsd:dateTime' });
}

function made(leftOperand: string, operator: string, rightOperand: Json): Imported {
  return { kind: 'constraint', json: { leftOperand, operator, rightOperand } };
}

function refused(constraint: OdrlConstraint, why: string): Imported {
  return { kind: 'refused', why: `${localName(constraint.leftOperand)}: ${why}` };
}

function unfit(constraint: OdrlConstraint): Imported {
  return refused(constraint, `"${localName(constraint.operator)} ${values(constraint).join(', ')}" cannot be read`);
}

function isValue(constraint: OdrlConstraint, operator: string, value: string): boolean {
  return localName(constraint.operator) === operator && single(constraint) === value;
}

function values({ right }: OdrlConstraint): readonly string[] {
  return right.map(({ value }: Term) => value);
}

/** The one value of a constraint; empty where there are several. */
function single({ right }: OdrlConstraint): string {
  return right.length === 1 ? right[0]!.value : '';
}
