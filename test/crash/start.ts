import { bootLeaf, open } from '../agent/store-parts.ts';

// Starts on what a cut left as an agent does: with the store's own thread, a boot leaf, a look at what waits, an orderly end.
// Argument: the store.

const store = await open(process.argv[2]!, { maxBytes: 9_000 });
store.leaf(bootLeaf(200));
await store.commit();
await store.take(6);
await store.close();
