// Two bundles of plain JavaScript: the unit's, without simulator, receiver and any CAN transmitter, and the tools'. Each is one
// file, and one more for the store's thread. Deterministic: the same tree gives the same bytes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { minifySync } from 'rolldown/utils';
import { folderCommands } from '../../cli/main.ts';
import { root } from '../../scripts/run.mjs';

const ENTRY = '\0tollgate-entry';
export const MAIN = 'tollgate.js';
/** Where the module that starts the thread looks for it: beside itself. */
export const WORKER = 'agent/store/worker.js';
/** What the unit's bundle may not hold; an import of it fails when it is used, and says so. */
const NOT_ON_A_UNIT = /^#(sim|receiver)(\/|$)/;

/**
 * Files of the unit's bundle. The first that wants a module has it: what every command needs, what `tollgate run` always loads, what
 * it loads for its uplink, and the rest.
 */
const PARTS = [
  { name: 'cli', from: /\/(cli\/main|agent\/store\/thread)\.ts$/ },
  {
    name: 'agent',
    from: /\/(cli\/commands\/run|firmware-bridge\/can\/(source|native|drivers)|agent\/sources\/log)\.ts$/,
  },
  { name: 'uplink', from: /\/node_modules\/mqtt\// },
  { name: 'commands', from: /^(?!\0tollgate)/ },
];

/** Names of the commands that belong to a package. */
export async function commandsOf(kind) {
  const { names, load } = folderCommands();
  const commands = await Promise.all(names.map(load));
  return commands.filter((command) => kind === 'tools' || command.package === 'unit');
}

/**
 * CommonJS, because it starts faster: a module in ES form makes a namespace of every built-in that it imports, and so loads what
 * stands behind each of their getters (docs/decisions/0017).
 *
 * @param {'unit' | 'tools'} kind
 * @param {{ split?: boolean }} options split: false for a single executable, whose main script is one file
 * @returns {Promise<{files: Map<string, string>, modules: string[]}>} text by file name; the modules that are in it
 */
export async function bundle(kind, version, { split = true } = {}) {
  const commands = await commandsOf(kind);
  const entry = [
    `import { main, processIo } from ${JSON.stringify(join(root, 'cli', 'main.ts'))};`,
    `import { prepareThread } from ${JSON.stringify(join(root, 'agent', 'store', 'thread.ts'))};`,
    // The store's thread starts beside the loading of everything else.
    "if (process.argv[2] === 'run' && !process.argv.includes('--help') && !process.argv.includes('-h')) prepareThread();",
    'const commands = {',
    ...commands.map(({ name }) => `  ${JSON.stringify(name)}: () => import(${JSON.stringify(commandFile(name))}),`),
    '};',
    'const load = async (name) => (await commands[name]()).command;',
    'const code = (value) => void (process.exitCode = value);',
    'main(process.argv.slice(2), processIo(), { names: Object.keys(commands), load }).then(code);',
  ].join('\n');
  const files = new Map();
  const modules = new Set();
  for (const [file, input] of [
    [MAIN, ENTRY],
    [WORKER, join(root, 'agent', 'store', 'worker.ts')],
  ]) {
    for (const chunk of await chunks(file, input, ours(entry, version, kind, file), kind, split && file === MAIN)) {
      for (const id of chunk.moduleIds) modules.add(id.startsWith(root) ? id.slice(root.length) : id);
      files.set(chunk.fileName, chunk.code);
    }
  }
  return { files, modules: [...modules].sort() };
}

/** A program of this project as one file, to lie beside a bundle and share its addons: `sim/vm` tests with it from within. */
export async function bundleProgram(input) {
  const [{ code }] = await chunks(MAIN, input, ours('', '0.0.0', 'tools', MAIN), 'tools', false);
  return code;
}

const commandFile = (name) => join(root, 'cli', 'commands', `${name.replaceAll(' ', '-')}.ts`);

async function chunks(file, input, plugin, kind, split) {
  const build = await rolldown({
    input: { main: input },
    cwd: root,
    platform: 'node',
    logLevel: 'warn',
    plugins: [plugin],
    external: kind === 'unit' ? [NOT_ON_A_UNIT, /^socketcan$/] : [/^socketcan$/],
  });
  const { output } = await build.generate({
    format: 'cjs',
    entryFileNames: file,
    chunkFileNames: '[name].js',
    // Text outside of Latin-1 makes V8 keep two bytes a character.
    charset: 'ascii',
    codeSplitting: split ? { groups: plugin.api.groups } : false,
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: false } },
    comments: false,
  });
  await build.close();
  return output.map(({ fileName, moduleIds, code }) => ({
    fileName,
    moduleIds,
    code: short(lateBuiltins(code), fileName),
  }));
}

/**
 * A third less to read, to check against the cache of compiled code and to keep: what stands within functions gets short names and
 * nothing stands on lines of its own. Functions and classes keep the names that stacks show; private members do not.
 */
function short(code, fileName) {
  const { code: minified, errors } = minifySync(fileName, code, {
    compress: false,
    mangle: { toplevel: false, keepNames: true },
    codegen: { removeWhitespace: true, legalComments: 'none' },
    module: false,
  });
  if (errors.length > 0) throw new Error(`${fileName}: ${errors[0].message}`);
  return minified.replaceAll(/\P{ASCII}/gu, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What a start needs at once; every other built-in is loaded by the first access to it. */
const NEEDED = /^node:(fs|path|crypto)$/;

/** `let node_tls = require("node:tls")` and `node_tls.connect` become a call that loads it when it is first needed. */
function lateBuiltins(code) {
  let changed = code;
  for (const [declared, name, id] of code.matchAll(/\b(node_\w+) = require\("(node:[\w/]+)"\)/g)) {
    // Whoever takes the whole module takes it as it is.
    const taken = new RegExp(`\\b${name}\\b(?!\\.)`, 'g');
    if (NEEDED.test(id) || changed.match(taken).length > 1) continue;
    changed = changed.replaceAll(new RegExp(`\\bnew ${name}\\.(\\w+)`, 'g'), `new (${name}().$1)`);
    changed = changed.replaceAll(new RegExp(`\\b${name}\\.`, 'g'), `${name}().`);
    changed = changed.replace(declared, `loaded_${name}, ${name} = () => loaded_${name} ??= require("${id}")`);
  }
  return changed;
}

/** What differs between a checkout and a bundle: the entry, the version, where addons lie. */
function ours(entry, version, kind, file) {
  const up = '../'.repeat(file.split('/').length - 1);
  const parts = new Map();
  return {
    name: 'tollgate',
    api: {
      groups: PARTS.map(({ name }, i) => ({
        name,
        test: (id) => parts.get(id) === name,
        priority: PARTS.length - i,
      })),
    },
    resolveId: (id) => (id === ENTRY ? ENTRY : null),
    load(id) {
      if (id === ENTRY) return entry;
      if (id.endsWith('/cli/version.ts')) return `export const version = () => ${JSON.stringify(version)};`;
      // The addon lies beside the bundle, not below node_modules; nothing is searched for at run time.
      if (id.endsWith('/better-sqlite3/lib/index.js')) {
        return `
          import { createRequire } from 'node:module';
          import createDatabase from './database.js';
          const addon = () => createRequire(import.meta.url)('./${up}native/better_sqlite3.node');
          export default createDatabase(addon, false);
        `;
      }
      return null;
    },
    /** A module finds its files where it would lie if the bundle's folder were the checkout. */
    transform(code, id) {
      if (!id.startsWith(root) || id.includes('node_modules') || !code.includes('import.meta.url')) return null;
      const place = `./${up}${id.slice(root.length).replace(/\.ts$/, '.js')}`;
      return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(place)}, import.meta.url).href`);
    },
    buildEnd() {
      if (file === MAIN) {
        for (const { name, from } of PARTS)
          for (const id of this.getModuleIds()) if (from.test(id)) assign(parts, id, name, this);
      }
      if (kind !== 'unit') return;
      for (const id of this.getModuleIds()) {
        if (/\/(sim|receiver|bench|test)\//.test(id.slice(root.length - 1)) && id.startsWith(root)) {
          throw new Error(`the unit's bundle must not hold ${id.slice(root.length)}`);
        }
      }
    },
  };
}

/** A module, and what it imports statically, where no part before has it. */
function assign(parts, id, name, graph) {
  if (parts.has(id)) return;
  parts.set(id, name);
  for (const other of graph.getModuleInfo(id)?.importedIds ?? []) assign(parts, other, name, graph);
}

export function projectVersion() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
}
