import { nearest, TollgateError } from '#contracts';

/** A leaf of the COVESA Vehicle Signal Specification. */
export interface VssLeaf {
  /** `Vehicle.…` */
  readonly path: string;
  /** An attribute does not change while the vehicle drives. */
  readonly kind: 'sensor' | 'actuator' | 'attribute';
  /** `float`, `uint8`, `boolean`, `string[]`, … */
  readonly datatype: string;
  /** Name of the unit as the specification has it (`km/h`, `percent`); null where it has none. */
  readonly unit: string | null;
  readonly description: string;
}

/** Leaves by path, in the order of the file. */
export type VssTree = ReadonlyMap<string, VssLeaf>;

const DEEPEST = 64;
const KINDS: ReadonlySet<unknown> = new Set(['sensor', 'actuator', 'attribute']);

type Json = { readonly [key: string]: unknown };

/**
 * Reads a VSS tree as the specification publishes it (JSON, `children` below each branch).
 *
 * @throws {TollgateError} TG_MAPPING_SYNTAX where the text is not JSON, is too deep or holds no leaf
 */
export function loadVss(text: string, { file }: { file: string }): VssTree {
  const refuse = (message: string, pointer?: string) =>
    new TollgateError('TG_MAPPING_SYNTAX', message, { place: { file, pointer } });
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw refuse(`expected a VSS tree in JSON: ${(error as Error).message.split('\n')[0]}`);
  }
  const leaves = new Map<string, VssLeaf>();
  const walk = (branch: unknown, path: string, pointer: string, depth: number): void => {
    if (!isMap(branch)) return;
    if (depth > DEEPEST) throw refuse(`expected at most ${DEEPEST} levels`, pointer);
    for (const [name, node] of Object.entries(branch)) {
      if (!isMap(node)) continue;
      const at = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const below = path === '' ? name : `${path}.${name}`;
      if (KINDS.has(node.type)) leaves.set(below, leafOf(node, below));
      else walk(node.children, below, `${at}/children`, depth + 1);
    }
  };
  walk(root, '', '', 0);
  if (leaves.size === 0) throw refuse('expected a VSS tree, found no leaf (sensor, actuator or attribute)');
  return leaves;
}

/** The paths that are no leaf of the tree, each with the leaf whose name is nearest: renamed, perhaps. */
export function missingPaths(
  paths: Iterable<string>,
  tree: VssTree,
): { readonly path: string; readonly near: string | undefined }[] {
  const known = [...tree.keys()];
  return [...new Set(paths)].filter((path) => !tree.has(path)).map((path) => ({ path, near: nearest(path, known) }));
}

function leafOf(node: Json, path: string): VssLeaf {
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return {
    path,
    kind: node.type as VssLeaf['kind'],
    datatype: text(node.datatype),
    unit: typeof node.unit === 'string' && node.unit !== '' ? node.unit : null,
    description: text(node.description),
  };
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
