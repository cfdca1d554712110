import { ByteReader } from './bytes.ts';
import { VALUE_TYPES, type ValueType } from './code.ts';
import { WasmError } from './error.ts';
import { type Immediate, OPCODE_BY_CODE } from './opcodes.ts';
import { PREAMBLE } from './writer.ts';

const SECTION_NAMES = [
  'custom',
  'type',
  'import',
  'function',
  'table',
  'memory',
  'global',
  'export',
  'start',
  'element',
  'code',
  'data',
  'data count',
] as const;

export type SectionName = (typeof SECTION_NAMES)[number];

export interface Section {
  readonly name: SectionName;
  /** Offset of the content in the module, bytes. */
  readonly offset: number;
  readonly content: Uint8Array;
}

export interface Instruction {
  /** As in the text format. */
  readonly name: string;
  /** In the module, bytes. */
  readonly offset: number;
  /** Numbers after the opcode in the order of the binary format: memory instructions `[align, offset]`. */
  readonly immediates: readonly (number | bigint)[];
}

export interface FunctionBody {
  readonly index: number;
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  readonly locals: readonly ValueType[];
  readonly instructions: readonly Instruction[];
}

export interface Export {
  readonly name: string;
  readonly kind: 'function' | 'table' | 'memory' | 'global';
  readonly index: number;
}

/** What a module is made of, for inspection. */
export interface ModuleContent {
  readonly sections: readonly Section[];
  readonly functions: readonly FunctionBody[];
  readonly exports: readonly Export[];
  /** Active segments of memory 0. */
  readonly data: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/**
 * Reads a module of the kind that `ModuleWriter` emits: no imports, one memory. It checks form, not types (that is the
 * platform's validation).
 *
 * @throws {WasmError} with the offset where the bytes are not a module
 */
export function readModule(bytes: Uint8Array): ModuleContent {
  const sections = readSections(bytes);
  const find = (name: SectionName) => sections.find((section) => section.name === name);
  const reader = (name: SectionName): ByteReader | null => {
    const section = find(name);
    return section === undefined
      ? null
      : new ByteReader(bytes, section.offset, section.offset + section.content.length);
  };
  const imported = reader('import')?.u32() ?? 0;
  if (imported > 0) throw new WasmError('the module has imports', find('import')?.offset);
  const types = vector(reader('type'), readType);
  const typeOf = vector(reader('function'), (at) => at.u32());
  return {
    sections,
    functions: vector(reader('code'), (at, index) => {
      const type = types[typeOf[index] ?? -1];
      if (type === undefined) throw new WasmError(`function ${index} has no type`, at.offset);
      return readBody(bytes, at, index, type);
    }),
    exports: vector(reader('export'), readExport),
    data: vector(reader('data'), readData),
  };
}

function readSections(bytes: Uint8Array): Section[] {
  const at = new ByteReader(bytes);
  for (const expected of PREAMBLE) {
    if (at.byte() !== expected) throw new WasmError('this is not a WebAssembly module of version 1', at.offset - 1);
  }
  const sections: Section[] = [];
  while (!at.done) {
    const start = at.offset;
    const name = SECTION_NAMES[at.byte()];
    if (name === undefined) throw new WasmError('there is no such section', start);
    const size = at.u32();
    const { offset } = at;
    sections.push({ name, offset, content: at.take(size) });
  }
  return sections;
}

function vector<T>(at: ByteReader | null, read: (at: ByteReader, index: number) => T): T[] {
  if (at === null) return [];
  const count = at.u32();
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read(at, i));
  if (!at.done) throw new WasmError('a section is longer than its items', at.offset);
  return items;
}

interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

function readType(at: ByteReader): FunctionType {
  if (at.byte() !== 0x60) throw new WasmError('a function type was expected', at.offset - 1);
  const list = () => Array.from({ length: at.u32() }, () => readValueType(at));
  const parameters = list();
  return { parameters, results: list() };
}

function readValueType(at: ByteReader): ValueType {
  const code = at.byte();
  const found = Object.entries(VALUE_TYPES).find(([, value]) => value === code);
  if (found === undefined) throw new WasmError(`there is no value type ${code}`, at.offset - 1);
  return found[0] as ValueType;
}

function readExport(at: ByteReader): Export {
  const name = at.name();
  const kind = (['function', 'table', 'memory', 'global'] as const)[at.byte()];
  if (kind === undefined) throw new WasmError('there is no such kind of export', at.offset - 1);
  return { name, kind, index: at.u32() };
}

function readData(at: ByteReader): { offset: number; bytes: Uint8Array } {
  if (at.u32() !== 0) throw new WasmError('only active segments of memory 0 are read', at.offset - 1);
  if (at.byte() !== 0x41) throw new WasmError('an i32.const was expected', at.offset - 1);
  const offset = at.s32() >>> 0;
  if (at.byte() !== 0x0b) throw new WasmError('the end of an offset was expected', at.offset - 1);
  return { offset, bytes: at.take(at.u32()) };
}

function readBody(bytes: Uint8Array, at: ByteReader, index: number, type: FunctionType): FunctionBody {
  const size = at.u32();
  const end = at.offset + size;
  at.take(size);
  const body = new ByteReader(bytes, end - size, end);
  const locals: ValueType[] = [];
  const runs = body.u32();
  for (let run = 0; run < runs; run++) {
    const count = body.u32();
    const valueType = readValueType(body);
    if (locals.length + count > 50_000) throw new WasmError('a function has too many locals', body.offset);
    for (let i = 0; i < count; i++) locals.push(valueType);
  }
  const instructions: Instruction[] = [];
  while (!body.done) instructions.push(readInstruction(body));
  return { index, ...type, locals, instructions };
}

function readInstruction(at: ByteReader): Instruction {
  const { offset } = at;
  const first = at.byte();
  const code = first === 0xfc || first === 0xfd ? (first << 16) | at.u32() : first;
  const opcode = OPCODE_BY_CODE.get(code);
  if (opcode === undefined) throw new WasmError(`there is no instruction ${code.toString(16)}`, offset);
  return { name: opcode.name, offset, immediates: readImmediates(at, opcode.immediate) };
}

function readImmediates(at: ByteReader, kind: Immediate): (number | bigint)[] {
  switch (kind) {
    case 'none':
      return [];
    case 'block':
      return [at.s33()];
    case 'labels':
    case 'types': {
      const list = Array.from({ length: checkedCount(at) }, () => at.u32());
      return kind === 'labels' ? [...list, at.u32()] : list;
    }
    case 'i32':
      return [at.s32()];
    case 'i64':
      return [at.s64()];
    case 'f32':
      return [at.f32()];
    case 'f64':
      return [at.f64()];
    case 'v128':
    case 'shuffle':
      return [...at.take(16)];
    case 'lane':
    case 'memory':
    case 'reftype':
      return [at.byte()];
    case 'memarg':
    case 'indirect':
    case 'memories':
    case 'data-memory':
    case 'element-table':
    case 'tables':
      return [at.u32(), at.u32()];
    case 'memarg-lane':
      return [at.u32(), at.u32(), at.byte()];
    case 'label':
    case 'function':
    case 'local':
    case 'global':
    case 'table':
    case 'data':
    case 'element':
      return [at.u32()];
  }
}

/** A count that the rest of the module can hold, so that a damaged one asks for no memory. */
function checkedCount(at: ByteReader): number {
  const { offset } = at;
  const count = at.u32();
  if (count > 1_000_000) throw new WasmError(`a list of ${count} items is too long`, offset);
  return count;
}
