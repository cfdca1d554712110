import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, ModuleWriter, OPCODES, readModule, WasmError } from '#wasm';

const platform = (
  globalThis as unknown as {
    WebAssembly: {
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object) => { exports: Record<string, (...args: number[]) => number> };
      validate(bytes: Uint8Array): boolean;
    };
  }
).WebAssembly;

/** sum(n) = 1 + 2 + … + n, and a data segment; exercises calls, loops and memory. */
function sample(): Uint8Array {
  const module = new ModuleWriter(1);
  const sum = module.declare({ name: 'sum', parameters: ['i32'], results: ['i32'] });
  const add = module.declare({ parameters: ['i32', 'i32'], results: ['i32'] });
  module.define(sum, (code) => {
    const total = code.local('i32');
    code.block();
    code.loop();
    code.get(0);
    code.op('i32.eqz');
    code.brIf(1);
    code.get(total);
    code.get(0);
    code.call(add);
    code.set(total);
    code.get(0);
    code.i32(-1);
    code.op('i32.add');
    code.set(0);
    code.br(0);
    code.end();
    code.end();
    code.get(total);
  });
  module.define(add, (code) => {
    code.get(0);
    code.get(1);
    code.op('i32.add');
  });
  module.data(100, Uint8Array.of(1, 2, 3));
  return module.finish();
}

describe('a written module', () => {
  it('runs', () => {
    const instance = new platform.Instance(new platform.Module(sample()));
    expect(instance.exports.sum!(100)).toBe(5050);
  });

  it('reads back as what was written', () => {
    const { sections, functions, exports, data } = readModule(sample());
    expect(sections.map(({ name }) => name)).toEqual(['type', 'function', 'memory', 'export', 'code', 'data']);
    expect(exports).toEqual([
      { name: 'memory', kind: 'memory', index: 0 },
      { name: 'sum', kind: 'function', index: 0 },
    ]);
    expect(functions[1]).toMatchObject({ parameters: ['i32', 'i32'], results: ['i32'], locals: [] });
    expect(functions[1]!.instructions.map(({ name }) => name)).toEqual(['local.get', 'local.get', 'i32.add', 'end']);
    expect(functions[0]!.instructions.find(({ name }) => name === 'i32.const')!.immediates).toEqual([-1]);
    expect(data).toEqual([{ offset: 100, bytes: Uint8Array.of(1, 2, 3) }]);
  });

  it('is refused where a block is left open or a body is missing', () => {
    const open = new ModuleWriter(1);
    const index = open.declare({ parameters: [], results: [] });
    expect(() => open.finish()).toThrow(WasmError);
    expect(() => open.define(index, (code) => code.block())).toThrow('1 blocks of function 0 are not ended');
  });
});

describe('the table of instructions', () => {
  it('has each name and each number once', () => {
    expect(new Set(OPCODES.map(({ name }) => name)).size).toBe(OPCODES.length);
    expect(new Set(OPCODES.map(({ code }) => code)).size).toBe(OPCODES.length);
  });

  it('agrees with the platform on instructions that take and give vectors', () => {
    const unary = OPCODES.filter(({ name }) =>
      /^(i8x16|i16x8|i32x4|i64x2|f32x4|f64x2)\.(abs|neg|sqrt|ceil|convert_low_i32x4_s|popcnt)$/.test(name),
    );
    const binary = OPCODES.filter(({ name }) =>
      /^(i8x16|i16x8|i32x4|i64x2|f32x4|f64x2)\.(add|sub|mul|eq|ne|swizzle|relaxed_swizzle|min|pmax|gt_s|le)$|^v128\.(and|or|xor|andnot)$/.test(
        name,
      ),
    );
    expect(unary.length).toBeGreaterThan(12);
    expect(binary.length).toBeGreaterThan(25);
    for (const [list, operands] of [
      [unary, 1],
      [binary, 2],
    ] as const) {
      for (const { name } of list) {
        const module = new ModuleWriter(1);
        const index = module.declare({ parameters: [], results: ['v128'] });
        module.define(index, (code) => {
          for (let i = 0; i < operands; i++) code.v128(new Uint8Array(16));
          code.op(name as 'v128.and');
        });
        expect(platform.validate(module.finish()), name).toBe(true);
      }
    }
  });
});

describe('LEB128', () => {
  it('reads back every number', () => {
    const numbers = fc.record({
      u: fc.integer({ min: 0, max: 0xffff_ffff }),
      s: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      l: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    });
    fc.assert(
      fc.property(numbers, ({ u, s, l }) => {
        const writer = new ByteWriter();
        writer.u32(u);
        writer.s32(s);
        writer.s64(l);
        const reader = new ByteReader(writer.written());
        expect([reader.u32(), reader.s32(), reader.s64(), reader.done]).toEqual([u, s, l, true]);
      }),
    );
  });

  it('refuses numbers that are too long', () => {
    expect(() => new ByteReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x1f)).u32()).toThrow('more than 32 bits');
    expect(() => new ByteReader(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0)).u32()).toThrow('more than 32 bits');
    expect(new ByteReader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f)).u32()).toBe(0xffff_ffff);
    expect(new ByteReader(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x78)).s32()).toBe(-(2 ** 31));
  });
});

describe('damaged modules', () => {
  it('are read or refused with an offset, never anything else', () => {
    const good = sample();
    const damage = fc.array(fc.record({ at: fc.nat(good.length - 1), to: fc.integer({ min: 0, max: 255 }) }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(damage, fc.integer({ min: 0, max: good.length }), (changes, length) => {
        const bytes = good.slice(0, length);
        for (const { at, to } of changes) if (at < length) bytes[at] = to;
        try {
          readModule(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WasmError);
        }
      }),
      { numRuns: 3000, seed: 20261125 },
    );
  });
});
