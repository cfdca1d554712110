/** Names of ODRL 2.2 (Vocabulary & Expression) and of the reports of its formal semantics. */

export const ODRL = 'http://www.w3.org/ns/odrl/2/';
export const CC = 'http://creativecommons.org/ns#';
export const RDF = 'http://www.w3.org/1999/02/22-rdf-syntax-ns#';
export const RDFS = 'http://www.w3.org/2000/01/rdf-schema#';
export const SKOS = 'http://www.w3.org/2004/02/skos/core#';
export const XSD = 'http://www.w3.org/2001/XMLSchema#';
export const DCT = 'http://purl.org/dc/terms/';
/** Compliance reports, as the ODRL community group's formal semantics write them. */
export const REPORT = 'https://w3id.org/force/compliance-report#';
/** State of the world and evaluation requests, older and newer name. */
export const SOTW = 'https://w3id.org/force/sotw#';
/** Dataspace Protocol 2025-1. */
export const DSPACE = 'https://w3id.org/dspace/2025/1/';
export const ODRL_FS = 'https://w3id.org/odrl-fs#';

/** Actions below `use` without a parent between (Vocabulary §4.6); `true` of them are of Creative Commons. */
const BELOW_USE =
  'acceptTracking aggregate annotate anonymize archive attribute compensate concurrentUse delete derive digitize ' +
  'distribute ensureExclusivity execute grantUse include index inform install modify move nextPolicy obtainConsent ' +
  'play present print read reproduce reviewPolicy stream synchronize textToSpeech transform translate uninstall watermark';
const CC_BELOW_USE =
  'Reproduction Distribution DerivativeWorks CommercialUse Notice Attribution ShareAlike Sharing SourceCode';

/** `includedIn` of each action; `use` and `transfer` are the roots. */
const INCLUDED_IN: ReadonlyMap<string, string> = new Map([
  ...BELOW_USE.split(' ').map((name) => [ODRL + name, `${ODRL}use`] as const),
  ...CC_BELOW_USE.split(' ').map((name) => [CC + name, `${ODRL}use`] as const),
  [`${ODRL}display`, `${ODRL}play`],
  [`${ODRL}extract`, `${ODRL}reproduce`],
  [`${ODRL}give`, `${ODRL}transfer`],
  [`${ODRL}sell`, `${ODRL}transfer`],
]);

/** Deprecated actions and the one that each is the same as (`skos:exactMatch`). */
const EXACT_MATCH: ReadonlyMap<string, string> = new Map(
  Object.entries({
    append: `${ODRL}modify`,
    appendTo: `${ODRL}modify`,
    write: `${ODRL}modify`,
    writeTo: `${ODRL}modify`,
    copy: `${ODRL}reproduce`,
    export: `${ODRL}transform`,
    license: `${ODRL}grantUse`,
    pay: `${ODRL}compensate`,
    attachPolicy: `${CC}Notice`,
    attachSource: `${CC}SourceCode`,
    shareAlike: `${CC}ShareAlike`,
    commercialize: `${CC}CommercialUse`,
    share: `${CC}Sharing`,
  }).map(([name, same]) => [ODRL + name, same] as const),
);

/** Actions without a place in the tree: they equal only themselves. */
const ALONE = 'lease lend preview secondaryUse adHocShare extractChar extractPage extractWord use transfer'
  .split(' ')
  .map((name) => ODRL + name);

export const ODRL_ACTIONS: readonly string[] = [...new Set([...INCLUDED_IN.keys(), ...EXACT_MATCH.keys(), ...ALONE])];

/** Whether `action` is `of`, the same by `exactMatch`, or included in it (transitively). */
export function isIncludedIn(action: string, of: string): boolean {
  const wanted = EXACT_MATCH.get(of) ?? of;
  for (let at: string | undefined = EXACT_MATCH.get(action) ?? action; at !== undefined; at = INCLUDED_IN.get(at)) {
    if (at === wanted) return true;
  }
  return action === of;
}

export const ODRL_LEFT_OPERANDS: readonly string[] = (
  'absolutePosition absoluteSpatialPosition absoluteTemporalPosition absoluteSize count dateTime delayPeriod ' +
  'deliveryChannel device elapsedTime event fileFormat industry language media meteredTime payAmount percentage product ' +
  'purpose recipient relativePosition relativeSpatialPosition relativeTemporalPosition relativeSize resolution spatial ' +
  'spatialCoordinates system systemDevice timeInterval unitOfCount version virtualLocation'
)
  .split(' ')
  .map((name) => ODRL + name);

/** Properties whose values are IRIs, written bare in JSON-LD; the rest of the context's terms. */
export const ODRL_PROPERTIES: Readonly<Record<string, 'id' | 'vocab' | 'value'>> = {
  uid: 'id',
  profile: 'id',
  conflict: 'vocab',
  permission: 'id',
  prohibition: 'id',
  obligation: 'id',
  duty: 'id',
  consequence: 'id',
  remedy: 'id',
  target: 'id',
  relation: 'id',
  function: 'id',
  assigner: 'id',
  assignee: 'id',
  attributedParty: 'id',
  attributingParty: 'id',
  compensatedParty: 'id',
  compensatingParty: 'id',
  consentedParty: 'id',
  consentingParty: 'id',
  informedParty: 'id',
  informingParty: 'id',
  trackedParty: 'id',
  trackingParty: 'id',
  contractedParty: 'id',
  contractingParty: 'id',
  payeeParty: 'id',
  output: 'id',
  action: 'vocab',
  constraint: 'id',
  refinement: 'id',
  and: 'id',
  or: 'id',
  xone: 'id',
  andSequence: 'id',
  leftOperand: 'vocab',
  operator: 'vocab',
  rightOperand: 'value',
  rightOperandReference: 'id',
  unit: 'id',
  dataType: 'id',
  status: 'value',
  source: 'id',
  partOf: 'id',
  hasPolicy: 'id',
  includedIn: 'vocab',
  implies: 'vocab',
  scope: 'id',
  inheritFrom: 'id',
};
