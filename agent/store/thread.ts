import { Worker } from 'node:worker_threads';

/** The thread holds no data beyond a group; the page cache is outside of this, MiB. */
const HEAP_MIB = 64;
const YOUNG_MIB = 4;

let waiting: Worker | null = null;

/**
 * Starts the thread of the store before there is anything for it to do: it loads its code while the process reads its documents. The
 * next store that opens takes it. Until then it keeps no process alive.
 */
export function prepareThread(): void {
  if (waiting !== null) return;
  waiting = started();
  waiting.unref();
}

/** The thread that was prepared, or a fresh one. */
export function takeThread(): Worker {
  const thread = waiting ?? started();
  waiting = null;
  thread.ref();
  return thread;
}

/** Ends a prepared thread that no store took. It ends by itself: one that is ended while it compiles has crashed processes. */
export async function discardThread(): Promise<void> {
  if (waiting === null) return;
  const thread = takeThread();
  const gone = new Promise((resolve) => thread.once('exit', resolve));
  thread.postMessage({ id: 0, request: { op: 'close' } });
  await gone;
}

function started(): Worker {
  const source = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
  return new Worker(new URL(source, import.meta.url), {
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB, maxYoungGenerationSizeMb: YOUNG_MIB },
  });
}
