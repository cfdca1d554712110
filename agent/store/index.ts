/** The durable half of the unit: open it to write in the agent, read it beside the agent. */
export {
  GATHER_MS,
  GROUP_COMMIT_MS,
  GROUP_COMMIT_RECORDS,
  KEEP_LEAVES_MS,
  openStore,
  type StoreOptions,
} from './client.ts';
export type * from './contract.ts';
export { type ReadStats, readStore, type StoreReader } from './reader.ts';
