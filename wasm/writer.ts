import { ByteWriter } from './bytes.ts';
import { CodeWriter, VALUE_TYPES, type ValueType } from './code.ts';
import { WasmError } from './error.ts';

/** `\0asm`, version 1 (core specification 5.5.16). */
export const PREAMBLE: readonly number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
export const PAGE_BYTES = 65_536;

/** Numbers of the sections that this writer emits, core specification 5.5.2. */
export const SECTION = { type: 1, function: 3, memory: 5, export: 7, code: 10, data: 11, dataCount: 12 } as const;

const FUNCTION_TYPE = 0x60;
const EXPORT_FUNCTION = 0;
const EXPORT_MEMORY = 2;

export interface FunctionSpec {
  /** Name of the export; undefined keeps the function inside. */
  readonly name?: string;
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

interface DeclaredFunction extends FunctionSpec {
  readonly type: number;
  body: CodeWriter | null;
}

/** A module with one memory of its own, exported as `memory`. Functions may be called before their bodies are written. */
export class ModuleWriter {
  readonly #types: {
    readonly key: string;
    readonly parameters: readonly ValueType[];
    readonly results: readonly ValueType[];
  }[] = [];
  readonly #functions: DeclaredFunction[] = [];
  readonly #data: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  /** First size of the memory, 64 KiB each. */
  pages: number;

  constructor(pages = 0) {
    this.pages = pages;
  }

  /** @returns index of the function, for `call` */
  declare(spec: FunctionSpec): number {
    const key = `${spec.parameters.join()}>${spec.results.join()}`;
    let type = this.#types.findIndex((one) => one.key === key);
    if (type < 0) type = this.#types.push({ key, parameters: spec.parameters, results: spec.results }) - 1;
    return this.#functions.push({ ...spec, type, body: null }) - 1;
  }

  /** Writes the body of a declared function. */
  define(index: number, write: (code: CodeWriter) => void): void {
    const declared = this.#functions[index];
    if (declared === undefined) throw new WasmError(`function ${index} is not declared`);
    const code = new CodeWriter(declared.parameters.length);
    write(code);
    if (code.depth !== 0) throw new WasmError(`${code.depth} blocks of function ${index} are not ended`);
    declared.body = code;
  }

  /** Bytes that the memory holds from the start. */
  data(offset: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.#data.push({ offset, bytes });
  }

  finish(): Uint8Array {
    const out = new ByteWriter();
    out.raw(PREAMBLE);
    section(out, SECTION.type, this.#types, (type) => {
      out.byte(FUNCTION_TYPE);
      for (const list of [type.parameters, type.results]) {
        out.u32(list.length);
        for (const value of list) out.byte(VALUE_TYPES[value]);
      }
    });
    section(out, SECTION.function, this.#functions, ({ type }) => out.u32(type));
    section(out, SECTION.memory, [this.pages], (pages) => {
      out.byte(0);
      out.u32(pages);
    });
    section(out, SECTION.export, this.#exports(), ({ name, kind, index }) => {
      out.name(name);
      out.byte(kind);
      out.u32(index);
    });
    section(out, SECTION.code, this.#functions, ({ body }, index) => {
      if (body === null) throw new WasmError(`function ${index} has no body`);
      out.sized(() => writeBody(out, body));
    });
    section(out, SECTION.data, this.#data, ({ offset, bytes }) => {
      out.byte(0);
      out.byte(0x41);
      out.s32(offset);
      out.byte(0x0b);
      out.u32(bytes.length);
      out.raw(bytes);
    });
    return out.written().slice();
  }

  #exports(): { readonly name: string; readonly kind: number; readonly index: number }[] {
    const functions = this.#functions.flatMap(({ name }, index) =>
      name === undefined ? [] : [{ name, kind: EXPORT_FUNCTION, index }],
    );
    return [{ name: 'memory', kind: EXPORT_MEMORY, index: 0 }, ...functions];
  }
}

function section<T>(out: ByteWriter, id: number, items: readonly T[], write: (item: T, index: number) => void): void {
  if (items.length === 0) return;
  out.byte(id);
  out.sized(() => {
    out.u32(items.length);
    for (const [index, item] of items.entries()) write(item, index);
  });
}

function writeBody(out: ByteWriter, body: CodeWriter): void {
  const runs: { type: ValueType; count: number }[] = [];
  for (const type of body.locals) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  out.u32(runs.length);
  for (const { type, count } of runs) {
    out.u32(count);
    out.byte(VALUE_TYPES[type]);
  }
  out.raw(body.bytes.written());
  out.byte(0x0b);
}
