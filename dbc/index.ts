/** The DBC language: read, check, write, compare, name. */
export { type CatalogueChannel, type SignalCatalogue, signalCatalogue, signalInfos } from './catalogue.ts';
export { bytesNeeded } from './check.ts';
export { checkMapping } from './check-mapping.ts';
export { type Difference, diffDatabases } from './diff.ts';
export { lintDatabase } from './lint.ts';
export { findingError, type LoadOptions, loadDatabase } from './load.ts';
export { loadMapping, type MappedValue, type MappingEntry } from './mapping.ts';
export { mappingEntryText } from './mapping-text.ts';
export type {
  AttributeDefinition,
  AttributeObject,
  AttributeValue,
  Database,
  DatabaseExtras,
  EnvironmentVariable,
  Finding,
  Label,
  Message,
  MultiplexRange,
  Node,
  RelationAttribute,
  Signal,
  SignalGroup,
  SignalType,
} from './model.ts';
export { type Expression, parseExpression } from './overlay/expression.ts';
export { loadOverlay, type OverlayEntry, type OverlayTransform, type OverlayValue } from './overlay/load.ts';
export { mappingOfOverlay } from './overlay/mapping.ts';
export { LEAST_CONFIDENCE, type Proposal, proposalText, proposeMapping, SURE_CONFIDENCE } from './propose.ts';
export type { Encoding } from './text.ts';
export { databaseTypes } from './types.ts';
export { matchUnits, type UnitMatch } from './units.ts';
export { loadVss, missingPaths, type VssLeaf, type VssTree } from './vss.ts';
export { writeDatabase } from './write.ts';
