export function bundle(
  kind: 'unit' | 'tools',
  version: string,
  options?: { split?: boolean },
): Promise<{ files: Map<string, string>; modules: string[] }>;

export function bundleProgram(input: string): Promise<string>;
