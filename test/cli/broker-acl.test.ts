import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tollgate } from '../system/processes.ts';

async function ran(...args: string[]) {
  const child = tollgate(['broker', 'acl', ...args]);
  const code = await child.exited;
  return { code, out: child.stdout(), err: child.stderr() };
}

describe('tollgate broker acl', () => {
  it('prints the rules of tenants and receivers, and writes them where it is told', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-acl-'));
    const words = ['--tenant', 't1', '--tenant', 't2', '--receiver', 'insurer'];
    const { code, out } = await ran(...words);
    expect(code).toBe(0);
    expect(out.match(/^user .*/gm)).toEqual(['user insurer']);
    for (const tenant of ['t1', 't2']) {
      expect(out).toContain(`pattern write v1/${tenant}/%u/tx/+\n`);
      expect(out).toContain(`topic write v1/${tenant}/+/rx/ack\n`);
    }
    const file = join(folder, 'acl');
    expect(await ran(...words, '--out', file)).toMatchObject({ code: 0 });
    expect(readFileSync(file, 'utf8')).toBe(out);
    const { acl } = JSON.parse((await ran(...words, '--json')).out) as { acl: string };
    expect(acl).toBe(out);
    rmSync(folder, { recursive: true });
  });

  it('prints the lines of mosquitto.conf that the rules rest on', async () => {
    const { code, out } = await ran('--conf', '/etc/mosquitto');
    expect(code).toBe(0);
    expect(out).toContain('acl_file /etc/mosquitto/acl\n');
    expect(out.match(/^(require_certificate|use_identity_as_username) true$/gm)).toHaveLength(4);
  });

  it('refuses what would be more than a name', async () => {
    for (const words of [[], ['--tenant', 'a/b'], ['--tenant', 't1', '--receiver', '#']]) {
      const { code, err } = await ran(...words);
      expect(code).toBe(2);
      expect(err).toContain('TG_CLI_USAGE');
    }
  });
});
