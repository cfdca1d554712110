export function bundle(
  kind: 'unit' | 'tools',
  version: string,
  format?: 'esm' | 'cjs',
): Promise<{ files: Map<string, string>; modules: string[] }>;

export function bundleProgram(input: string): Promise<string>;
