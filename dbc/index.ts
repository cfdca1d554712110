/** The DBC language: read, check, name. */
export { type CatalogueChannel, type SignalCatalogue, signalCatalogue, signalInfos } from './catalogue.ts';
export { bytesNeeded } from './check.ts';
export { lintDatabase } from './lint.ts';
export { findingError, type LoadOptions, loadDatabase } from './load.ts';
export { loadMapping, type MappingEntry } from './mapping.ts';
export type {
  AttributeValue,
  Database,
  Finding,
  Label,
  Message,
  MultiplexRange,
  Node,
  Signal,
  SignalGroup,
} from './model.ts';
export type { Encoding } from './text.ts';
export { writeDatabase } from './write.ts';
