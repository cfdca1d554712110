import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const VENV = fileURLToPath(new URL('../../../.bench/judges/bin/python3', import.meta.url));

/** A Python that has the module: that of .ci/steps/20-judges.sh, or the system's; null and a message where none has. */
export function pythonWith(module: string, consequence: string): string | null {
  for (const python of [VENV, 'python3']) {
    if (python === VENV && !existsSync(VENV)) continue;
    try {
      execFileSync(python, ['-c', `import ${module}`], { stdio: 'ignore' });
      return python;
    } catch {
      // The next one may have it.
    }
  }
  console.warn(`${module} is not installed (.ci/steps/20-judges.sh does it): ${consequence}`);
  return null;
}
