import { parseArgs } from 'node:util';
import { type Config, loadConfig } from '#agent/config/load';
import { examine } from '#agent/health/doctor/checks';
import type { Finding, Wanted } from '#agent/health/doctor/machine';
import { thisMachine } from '#agent/health/doctor/this-machine';
import type { Command, Io } from '../command.ts';
import { bold } from '../text.ts';

export const command: Command = {
  name: 'doctor',
  summary: 'Says whether this unit fits, and how to mend what does not',
  package: 'unit',
  help: `
Usage: tollgate doctor [--config FILE] [--all] [--json]

Looks at kernel, CAN interfaces, addon, C library, Node and its flags, TPM, user namespaces, memory, state folder and its durable
writes, flash and its wear, clock and entropy. Changes nothing; it writes 20 KiB into the state folder and removes them.

  --config FILE   configuration (default: tollgate.yaml)
  --all           what is well, too
  --json          [{check, severity, found, remedy}], everything; severity is ok, note or mend

Exit code: 0 this unit fits, 1 something must be mended.

Example:
  tollgate doctor --all
`,
  async run(args, io) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string', default: 'tollgate.yaml' },
        all: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    });
    const config = await loadConfig(values.config);
    const findings = examine(thisMachine(Date.now()), wantedBy(config));
    io.out(values.json ? `${JSON.stringify(findings)}\n` : findingsText(findings, values.all, io));
    return findings.some(({ severity }) => severity === 'mend') ? 1 : 0;
  },
};

export function wantedBy({ sources, unit, store, gnss }: Config): Wanted {
  const live = sources.filter(({ type }) => type === 'can');
  return {
    state: unit.state,
    interfaces: live.map(({ name, interface: link = name, fd = false }) => ({ name: link, fd })),
    spoolBytes: store.maxBytes,
    gnss: gnss !== null,
  };
}

export function findingsText(findings: readonly Finding[], all: boolean, io: Pick<Io, 'interactive'>): string {
  const shown = findings.filter(({ severity }) => all || severity !== 'ok');
  const width = Math.max(0, ...shown.map(({ check }) => check.length));
  const lines = shown.map(({ check, severity, found, remedy }) => {
    const head = `  ${severity.padEnd(4)}  ${check.padEnd(width)}  ${found}`;
    return remedy === null ? head : `${head}\n  ${' '.repeat(width + 8)}${remedy}`;
  });
  const mend = findings.filter(({ severity }) => severity === 'mend').length;
  const notes = findings.filter(({ severity }) => severity === 'note').length;
  const verdict = mend === 0 ? 'This unit fits' : `This unit does not fit: ${mend} to mend`;
  return `${[...lines, bold(`${verdict}${notes === 0 ? '' : `, ${notes} to note`}.`, io as Io)].join('\n')}\n`;
}
