import { readFileSync } from 'node:fs';

/** The version in package.json, which lies one folder up in a checkout and two in the package. */
export function version(): string {
  const up = import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json';
  const manifest: { version: string } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8'));
  return manifest.version;
}
