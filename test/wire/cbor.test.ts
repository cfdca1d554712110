import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { CborFloat, CborSimple, type CborValue, decodeCbor, encodeCbor } from '#wire';
import { mutated, numbers } from './parts.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const fromHex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const decoded = (text: string) => decodeCbor(fromHex(text));

const integer = fc
  .oneof(fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 90n), max: 2n ** 90n }))
  .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) + 0 : BigInt(value)));
const text = fc.string({ unit: 'binary' });
const key = fc.oneof(
  text,
  fc.maxSafeInteger().map((value) => value + 0),
);
const { value } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    integer,
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom<CborValue>(null, undefined, true, false),
    fc.double().map((number) => new CborFloat(number)),
    fc.oneof(fc.integer({ min: 0, max: 19 }), fc.integer({ min: 32, max: 255 })).map((code) => new CborSimple(code)),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 10 }).map((entries) => new Map(entries)),
    fc
      .record({ tag: fc.maxSafeInteger().map((number) => Math.abs(number)), value: tie('value') })
      .filter(({ tag }) => tag !== 2 && tag !== 3),
  ),
}));

describe('a value', () => {
  it('comes back as it went, and as the same bytes', () => {
    fc.assert(
      fc.property(value, (one) => {
        const bytes = encodeCbor(one);
        const back = decodeCbor(bytes);
        expect(back).toEqual(one);
        expect(hex(encodeCbor(back))).toBe(hex(bytes));
      }),
      { seed: 8949, numRuns: 500 },
    );
  });

  it('keeps the sign of a float zero', () => {
    expect(Object.is((decoded('f98000') as CborFloat).value, -0)).toBe(true);
  });

  it('is detached from the bytes that it was read from', () => {
    const bytes = fromHex('420102');
    const read = decodeCbor(bytes) as Uint8Array;
    bytes.fill(0);
    expect([...read]).toEqual([1, 2]);
  });
});

describe('one value has one form', () => {
  it('whatever the order in which a map was filled', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.integer()), { maxLength: 20 }), (entries) => {
        const map = new Map(entries);
        expect(hex(encodeCbor(new Map([...map].reverse())))).toBe(hex(encodeCbor(map)));
      }),
      { seed: 421 },
    );
  });

  it('sorts keys by their bytes: integers by length and sign, then text, RFC 8949 §4.2.1', () => {
    const map = new Map<number | string, CborValue>([
      ['aa', 0],
      [-1, 0],
      ['z', 0],
      [100, 0],
      [10, 0],
    ]);
    expect(hex(encodeCbor(map))).toBe('a5' + '0a00' + '186400' + '2000' + '617a00' + '62616100');
  });

  it('for every half-precision float', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const bytes = Uint8Array.of(0xf9, bits >> 8, bits & 0xff);
      const isNan = (bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0;
      if (isNan && bits !== 0x7e00) expect(() => decodeCbor(bytes)).toThrow(TollgateError);
      else if (hex(encodeCbor(decodeCbor(bytes))) !== hex(bytes)) expect.fail(hex(bytes));
    }
  });

  it('for whatever the reader accepts, of random bytes', () => {
    const random = numbers(1);
    let accepted = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from({ length: 1 + random(12) }, () => random(256));
      accepted += sameAgain(bytes) ? 1 : 0;
    }
    expect(accepted).toBeGreaterThan(100);
  });

  it('for whatever the reader accepts, of changed messages', () => {
    const random = numbers(2);
    const [whole] = fc.sample(fc.array(value, { minLength: 20, maxLength: 30 }), { seed: 3, numRuns: 1 });
    const bytes = encodeCbor(whole!);
    for (let round = 0; round < 5_000; round++) sameAgain(mutated(bytes, random));
  });

  /** Only a typed error may come; what is accepted must be what the encoder writes. */
  function sameAgain(bytes: Uint8Array): boolean {
    let read: CborValue;
    try {
      read = decodeCbor(bytes);
    } catch (error) {
      if (error instanceof TollgateError && error.code === 'TG_WIRE_CBOR') return false;
      throw error;
    }
    expect(hex(encodeCbor(read))).toBe(hex(bytes));
    return true;
  }
});

describe('the reader refuses', () => {
  it.each([
    ['nothing', ''],
    ['a head longer than needed', '1817'],
    ['a head longer than needed, two bytes', '1900ff'],
    ['a head longer than needed, four bytes', '1a0000ffff'],
    ['a head longer than needed, eight bytes', '1b00000000ffffffff'],
    ['a long length of a string', '580161'],
    ['an indefinite array', '9f01ff'],
    ['an indefinite map', 'bf0102ff'],
    ['an indefinite byte string', '5f4101ff'],
    ['a break alone', 'ff'],
    ['reserved heads', '1c'],
    ['a reserved simple value', 'fc'],
    ['a simple value in the long form', 'f810'],
    ['a simple value that RFC 8949 reserves', 'f818'],
    ['a double that a half could hold', 'fb3ff0000000000000'],
    ['a single that a half could hold', 'fa3f800000'],
    ['a double that a single could hold', 'fb40f86a0000000000'],
    ['another NaN', 'f97e01'],
    ['a wide NaN', 'fb7ff8000000000000'],
    ['map keys out of order', 'a202000100'],
    ['a map key twice', 'a201000100'],
    ['a map key that is neither integer nor text', 'a1410100'],
    ['a map key of more than 53 bits', 'a11b002000000000000000'],
    ['text that is not UTF-8', '61ff'],
    ['half a surrogate pair', '63eda080'],
    ['bytes after the value', '0000'],
    ['an end inside a head', '19ff'],
    ['an end inside a string', '4201'],
    ['a map without its last value', 'a101'],
    ['a bignum that an integer could hold', 'c24101'],
    ['a bignum with a leading zero', 'c249000100000000000000'],
    ['a bignum of text', 'c26161'],
    ['a tag number beyond 53 bits', 'db002000000000000000f6'],
  ])('%s', (_what, bytes) => {
    expect(() => decoded(bytes)).toThrow(expect.objectContaining({ code: 'TG_WIRE_CBOR' }));
  });
});

describe('the writer refuses', () => {
  const cycle: CborValue[] = [];
  cycle.push(cycle);
  it.each<[string, CborValue]>([
    ['a fraction that is no CborFloat', 1.5],
    ['a number beyond 53 bits', 2 ** 53],
    ['a number that is none', Number.NaN],
    ['half a surrogate pair', '\ud800'],
    ['a reserved simple value', new CborSimple(24)],
    ['a simple value that has a type', new CborSimple(22)],
    ['a simple value beyond a byte', new CborSimple(256)],
    ['a bignum as a tag', { tag: 2, value: new Uint8Array(9) }],
    ['a tag below 0', { tag: -1, value: 0 }],
    ['a value inside itself', cycle],
  ])('%s', (_what, one) => {
    expect(() => encodeCbor(one)).toThrow(expect.objectContaining({ code: 'TG_WIRE_CBOR' }));
  });
});

describe('a bomb', () => {
  it.each([
    ['arrays', Buffer.alloc(200_000, 0x81)],
    ['maps', Buffer.alloc(200_000, Buffer.from([0xa1, 0x00]))],
    ['tags', Buffer.alloc(200_000, 0xc1)],
  ])('of nested %s is refused at level 32', (_what, bytes) => {
    expect(() => decodeCbor(new Uint8Array(bytes))).toThrow('nested deeper than 32');
  });

  it('of 32 levels still opens', () => {
    const bytes = new Uint8Array([...Array.from({ length: 32 }, () => 0x81), 0]);
    expect(hex(encodeCbor(decodeCbor(bytes)))).toBe(hex(bytes));
  });

  it.each([
    '5b7fffffffffffffff',
    '7bffffffffffffffff',
    '9bffffffffffffffff',
    'bbffffffffffffffff',
    '9a10000000',
    'ba10000000',
  ])('of length %s is refused before anything is reserved', (bytes) => {
    expect(() => decoded(bytes)).toThrow('a length runs beyond the input');
  });

  it('of nested heads that each claim the whole input takes no memory for them', () => {
    const code = `import { decodeCbor } from ${JSON.stringify(new URL('../../wire/cbor.ts', import.meta.url).href)};
      const bytes = new Uint8Array(2_000_200);
      for (let i = 0; i < 31; i++) bytes.set([0x9a, 0x00, 0x1e, 0x84, 0x80], 5 * i);
      try { decodeCbor(bytes); } catch (error) { console.log(error.code); }`;
    const options = ['--max-old-space-size=128', '--input-type=module', '--eval', code];
    const child = spawnSync(process.execPath, options, { encoding: 'utf8' });
    expect(child.stdout.trim()).toBe('TG_WIRE_CBOR');
  });
});
