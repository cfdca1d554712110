/** The first TypeScript block of a README. */
export function exampleIn(readme: string): string {
  return /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
}

/** The lines of a test between `// example` and `// end`, without their indent. */
export function exampleRun(source: string): string {
  const [, indent, body] = /^( *)\/\/ example\n([\s\S]*?)^ *\/\/ end$/m.exec(source)!;
  return body!.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
}
