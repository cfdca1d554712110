import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CborFloat, CborSimple, type CborTag, type CborValue, decodeCbor, encodeCbor } from '#wire/cbor';
import { cameTo, fromHex, hex, REFUSED, type Report } from './report.ts';

interface CborCase {
  readonly hex: string;
  readonly roundtrip: boolean;
  readonly decoded?: unknown;
  readonly diagnostic?: string;
}

const GROUP = 'cbor';
/** JSON numbers beyond 53 bits would lose digits; this keeps the text of each number. */
const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

/**
 * RFC 8949 Appendix A. What may round-trip must decode to its value and come back byte by byte. What may not is another
 * form of a value: it must be refused, and the encoder must write the value's preferred form, which the file has too.
 */
export async function cborCases(folder: string, report: Report): Promise<void> {
  const file = join(folder, 'cbor-appendix_a.json');
  if (!existsSync(file)) return;
  const cases = readCases(readFileSync(file, 'utf8'));
  for (const one of cases) {
    const bytes = fromHex(one.hex);
    const place = `cbor-appendix_a.json ${one.hex}`;
    if (isReservedSimple(bytes)) {
      // RFC 7049 had it; RFC 8949 §3.3 says that such bytes are not well-formed. It is refused, and no form is right.
      const came = await cameTo(() => hex(encodeCbor(decodeCbor(bytes))));
      if (came === REFUSED) report.unsupported(GROUP, 'simple values 24 to 31, reserved by RFC 8949');
      else report.compare(GROUP, place, came, REFUSED);
      continue;
    }
    const came = await cameTo(() => {
      const value = decodeCbor(bytes);
      return `${say(value)} ${hex(encodeCbor(value))}`;
    });
    if (one.roundtrip) report.compare(GROUP, place, came, `${wanted(one, bytes)} ${one.hex}`);
    else {
      const form = await preferred(one);
      report.compare(GROUP, place, `${came}, ${form}`, `${REFUSED}, ${preferredIn(cases, one) ?? form}`);
    }
  }
}

function readCases(text: string): CborCase[] {
  return JSON.parse(text, (_key, value, context?: { source?: string }) => {
    if (typeof value !== 'number' || context?.source === undefined || !NUMBER.test(context.source)) return value;
    return /[.eE]/.test(context.source) ? new CborFloat(value) : BigInt(context.source);
  });
}

const isReservedSimple = (bytes: Uint8Array) => bytes.length === 2 && bytes[0] === 0xf8 && bytes[1]! < 32;

/** The value as this file's readers would write it down: JSON where it has one, else RFC 8949 §8 notation. */
function say(value: CborValue): string {
  if (value === undefined) return 'undefined';
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Uint8Array) return `h'${hex(value)}'`;
  if (value instanceof CborFloat) return sayFloat(value.value);
  if (value instanceof CborSimple) return `simple(${value.value})`;
  if (value instanceof Map)
    return `{${[...value]
      .map(([key, item]) => `${say(key)}: ${say(item)}`)
      .sort()
      .join(', ')}}`;
  if (Array.isArray(value)) return `[${value.map(say).join(', ')}]`;
  const { tag, value: inner } = value as CborTag;
  return `${tag}(${say(inner)})`;
}

function sayFloat(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Object.is(value, -0)) return '-0.0';
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value);
}

/** A JSON value of the file as CBOR: `readCases` kept integers apart from floats. */
function fromJson(json: unknown): CborValue {
  if (Array.isArray(json)) return json.map(fromJson);
  if (json === null || typeof json !== 'object' || json instanceof CborFloat) return json as CborValue;
  return new Map(Object.entries(json).map(([key, value]) => [key, fromJson(value)]));
}

function wanted(one: CborCase, bytes: Uint8Array): string {
  if ('decoded' in one) return say(fromJson(one.decoded));
  return one.diagnostic ?? hex(bytes);
}

/** The value of a case that is not in its preferred form. */
function caseValue(one: CborCase): CborValue {
  if ('decoded' in one) return fromJson(one.decoded);
  if (one.diagnostic === 'NaN') return new CborFloat(Number.NaN);
  if (one.diagnostic?.endsWith('Infinity')) return new CborFloat(Number(one.diagnostic));
  const chunks = /^\(_ (.*)\)$/.exec(one.diagnostic ?? '')?.[1]?.matchAll(/h'([0-9a-f]*)'/g) ?? [];
  return fromHex([...chunks].map((chunk) => chunk[1]!).join(''));
}

/** What the encoder makes of a value, checked by taking it back. */
async function preferred(one: CborCase): Promise<string> {
  return await cameTo(() => {
    const value = caseValue(one);
    const bytes = encodeCbor(value);
    const back = say(decodeCbor(bytes));
    return back === say(value) ? hex(bytes) : `another value, ${back}`;
  });
}

/** The form that the file itself gives for the value; where it has none, RFC 8949 §4.2.1 by hand; else null. */
function preferredIn(cases: readonly CborCase[], one: CborCase): string | null {
  const twin = cases.find((other) => other.roundtrip && !isReservedSimple(fromHex(other.hex)) && sameValue(other, one));
  return twin?.hex ?? BY_HAND[one.hex] ?? null;
}

const sameValue = (a: CborCase, b: CborCase) =>
  ('decoded' in a && 'decoded' in b && say(fromJson(a.decoded)) === say(fromJson(b.decoded))) ||
  (a.diagnostic !== undefined && a.diagnostic === b.diagnostic);

/** Indefinite strings and maps of Appendix A in their definite forms. */
const BY_HAND: Readonly<Record<string, string>> = {
  '5f42010243030405ff': '450102030405',
  '7f657374726561646d696e67ff': '6973747265616d696e67',
  bf6346756ef563416d7421ff: 'a263416d74216346756ef5',
};
