// `npm pack` calls this: dist/ with plain JavaScript and types. Node strips no types below node_modules, and `#aliases` lead to the
// .ts files of a checkout, so both are resolved here.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root, run } from './run.mjs';

const dist = join(root, 'dist');
rmSync(dist, { recursive: true, force: true });
if (run('tsc', ['-p', 'tsconfig.build.json']) !== 0) process.exit(1);

const { imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** `#wire/leaf` → `wire/leaf.js` below dist. */
function target(alias) {
  if (imports[alias] !== undefined) return imports[alias].slice(2).replace(/\.ts$/, '.js');
  for (const [pattern, path] of Object.entries(imports)) {
    if (!pattern.endsWith('*') || !alias.startsWith(pattern.slice(0, -1))) continue;
    return path
      .slice(2)
      .replace('*', alias.slice(pattern.length - 1))
      .replace(/\.ts$/, '.js');
  }
  throw new Error(`no alias for ${alias}`);
}

for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(js|d\.ts)$/.test(entry.name)) continue;
  const file = join(entry.parentPath, entry.name);
  const text = readFileSync(file, 'utf8');
  const resolved = text
    .replace(/((?:from|import)\s*\(?\s*)(['"])(#[\w/-]+)\2/g, (_, before, quote, alias) => {
      const path = relative(dirname(file), join(dist, target(alias)));
      return `${before}${quote}${path.startsWith('.') ? path : `./${path}`}${quote}`;
    })
    .replace(/(from|import)(\s*\(?\s*['"])(\.[^'"]+)\.ts(['"])/g, '$1$2$3.js$4');
  if (resolved !== text) writeFileSync(file, resolved);
}
for (const data of ['agent/config/schema.json', 'agent/store', 'dbc/databases', 'policies/examples']) {
  cpSync(join(root, data), join(dist, data), {
    recursive: true,
    filter: (path) => !path.endsWith('.ts') || path.endsWith('.d.ts'),
  });
}
