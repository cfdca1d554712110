import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, CAN_EFF_MASK } from '#contracts';
import { compileDatabase, createDecoder, loaderText, RowReader, signalInfos } from '#decoders';
import { batchOf, database, databases, message, signal, type TestFrame } from './databases.ts';

interface Loaded {
  readonly message: string;
  readonly timeNs: number;
  readonly short: boolean;
  readonly values: Readonly<Record<string, number | bigint>>;
}
interface Loader {
  load(bytes: Uint8Array): { decode(frames: Iterable<object>): Iterable<Loaded> };
}

async function loaderOf(text: string): Promise<Loader> {
  return await import(`data:text/javascript,${encodeURIComponent(text)}`);
}

const busFrame = ({ id, data, time }: TestFrame) => ({
  id: id & CAN_EFF_MASK,
  extended: (id & CAN_EFF_FLAG) !== 0,
  data: Uint8Array.from(data),
  timeNs: time,
});

describe('a compiled database with its loader', () => {
  it('gives the frames that the decoder gives, for any database', async () => {
    const cases = fc.record({
      any: databases,
      payloads: fc.array(fc.uint8Array({ maxLength: 64 }), { minLength: 1, maxLength: 8 }),
      form: fc.constantFrom('scalar' as const, 'simd' as const, 'grouped' as const),
      maxFrames: fc.constantFrom(1, 3, 1024),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ any, payloads, form, maxFrames }) => {
        const signals = signalInfos(any);
        const { module, manifest } = compileDatabase(any, { form, maxFrames });
        const { load } = await loaderOf(loaderText(manifest));
        const frames = payloads.flatMap((data, i) =>
          signals.slice(0, 3).map(({ id }): TestFrame => ({ id, data: [...data], time: i * 1000 })),
        );
        const decoder = createDecoder({ channel: 0, database: any, signals });
        const wanted = [...new RowReader(decoder.layout, any).read(decoder.decode(batchOf(frames, true)))];
        const came = [...load(module).decode(frames.map(busFrame))];
        expect(came.map(({ message: name, timeNs, short, values }) => ({ name, timeNs, short, values }))).toEqual(
          wanted.map((one) => ({
            name: one.message.name,
            timeNs: one.timeNs,
            short: one.short,
            values: Object.fromEntries(one.values),
          })),
        );
      }),
      { numRuns: 100, seed: 13 },
    );
  });

  it('has the first text of a value that has two', () => {
    const labels = [
      { value: 1n, text: 'first' },
      { value: 1n, text: 'second' },
    ];
    const { manifest } = compileDatabase(database(message({ name: 'm', signals: [signal({ name: 's', labels })] })));
    expect(manifest.messages[0]!.signals[0]!.labels).toEqual({ 1: 'first' });
  });

  it('needs nothing but itself: no import, one memory, one function', () => {
    const { module } = compileDatabase(database(message({ name: 'm', signals: [signal({ name: 's' })] })));
    const { WebAssembly } = globalThis as unknown as {
      WebAssembly: {
        Module: (new (
          bytes: Uint8Array,
        ) => object) & {
          imports(module: object): object[];
          exports(module: object): { name: string }[];
        };
      };
    };
    const compiled = new WebAssembly.Module(module);
    expect(WebAssembly.Module.imports(compiled)).toEqual([]);
    expect(
      WebAssembly.Module.exports(compiled)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['decode', 'memory']);
  });
});
