import type { Node } from '../document.ts';

/**
 * JSON Canonicalization Scheme (RFC 8785): keys in the order of their UTF-16 units, numbers and texts as ECMAScript
 * writes them. The hash of an agreement must not depend on how its carrier spaced it.
 */
export function canonicalJson(node: Node): string {
  if (node.kind === 'scalar') return JSON.stringify(node.value);
  if (node.kind === 'array') return `[${node.items.map(canonicalJson).join(',')}]`;
  const keys = [...node.entries.keys()].sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(node.entries.get(key)!.value)}`).join(',')}}`;
}
