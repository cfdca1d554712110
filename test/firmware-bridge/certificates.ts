import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const OPENSSL = spawnSync('openssl', ['version']).status === 0;

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certification authority made by openssl, and what it signs. */
export interface Authority {
  readonly ca: string;
  /** @param san as openssl writes it, e.g. `IP:127.0.0.1` */
  issue(commonName: string, san?: string): Certificate;
  remove(): void;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

export function authority(name = 'test CA'): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-ca-'));
  const run = (...args: string[]) => spawnSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const read = (file: string) => (OPENSSL ? readFileSync(join(folder, file), 'utf8') : '');
  run('req', '-x509', ...KEY, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', `/CN=${name}`);
  return {
    ca: read('ca.pem'),
    issue: (commonName, san = 'DNS:unit') => {
      const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', `subjectAltName=${san}`];
      run('req', '-x509', ...KEY, ...signer, '-keyout', 'one.key', '-out', 'one.pem', '-subj', `/CN=${commonName}`);
      return { cert: read('one.pem'), key: read('one.key') };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
