import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GroupBuilder } from '../../agent/store/group.ts';
import type { Writer } from '../../agent/store/writer.ts';
import { bootLeaf, TestStream } from '../agent/store-parts.ts';
import { openWriter, storeFaults } from './promises.ts';

const START = fileURLToPath(new URL('start.ts', import.meta.url));

/** The next boot's group: the store must go on. */
function nextGroup() {
  const builder = new GroupBuilder();
  const stream = new TestStream('next');
  builder.leaf(bootLeaf(1));
  builder.stream(1, stream.entry);
  builder.record(1, stream.record());
  return builder.take();
}

/**
 * Starts the store's own recovery on what a cut left, and holds it to every promise made before.
 *
 * @param started a process starts on it first, as an agent does
 * @returns what is wrong; empty when nothing is
 */
export async function examine(
  folder: string,
  files: ReadonlyMap<string, Buffer>,
  promised: string,
  started = false,
): Promise<string[]> {
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  if (started) {
    const agent = spawnSync(process.execPath, [START, join(folder, 'tollgate.sqlite')], { encoding: 'utf8' });
    if (agent.status !== 0) return [`no start of an agent: ${agent.stderr}`];
  }
  let writer: Writer;
  try {
    writer = openWriter(join(folder, 'tollgate.sqlite'));
  } catch (error) {
    return [`no start: ${error instanceof Error ? error.message : error}`];
  }
  try {
    const faults = await storeFaults(writer, promised);
    writer.commit(nextGroup());
    return faults;
  } catch (error) {
    return [`fails: ${error instanceof Error ? error.message : error}`];
  } finally {
    writer.close();
  }
}
