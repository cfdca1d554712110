import { type Cursor, Misread } from './cursor.ts';
import type { Statements } from './raw.ts';
import type { Section } from './sections.ts';

/** Messages, their signals, and the statements that say more about their bits. */
export const FRAME_SECTIONS: Readonly<Record<string, Section>> = {
  /** `BO_ 256 Engine: 8 Gateway` */
  BO_: (cursor, token, out) => {
    const id = cursor.integer('the id of the message');
    const name = cursor.name('the name of the message');
    cursor.expect(':');
    const length = cursor.integer('the length of the message in bytes');
    const sender = cursor.peek.kind === 'word' && !cursor.peek.first ? cursor.name('the sender') : '';
    if (sender === '') {
      cursor.find(
        'TG_DBC_SYNTAX',
        token,
        `expected a sender after the length of ${name}`,
        'Write Vector__XXX where no node sends it.',
        'warning',
      );
    }
    out.messages.push({ id, name, length, sender, signals: [], token });
  },

  /** `SG_ Speed m3 : 0|16@1+ (0.25,0) [0|8000] "rpm" Gateway,Dash` */
  SG_: (cursor, token, out) => {
    const message = out.messages.at(-1);
    if (message === undefined)
      throw new Misread(token, 'a message (BO_) before its signals', 'Move the signal below its message.');
    const name = cursor.name('the name of the signal');
    const multiplex = cursor.is(':') ? '' : multiplexMark(cursor);
    cursor.expect(':');
    const start = cursor.integer('the start bit');
    cursor.expect('|');
    const lengthToken = cursor.peek;
    const length = cursor.integer('the length in bits');
    if (length < 1 || length > 64)
      throw new Misread(lengthToken, 'a length of 1 to 64 bits', 'Correct the length; the signal was left out.');
    const { intel, signed } = order(cursor);
    const scale = scaling(cursor);
    const unit = cursor.string('the unit in quotes');
    const receivers = cursor.names('a receiver', true);
    if (receivers.length === 0) {
      cursor.find(
        'TG_DBC_SYNTAX',
        token,
        `expected a receiver after the unit of ${name}`,
        'Write Vector__XXX where no node receives it.',
        'warning',
      );
    }
    message.signals.push({ name, multiplex, start, length, intel, signed, ...scale, unit, receivers, token });
  },

  /** `SGTYPE_ Name : 16@1+ (0.1,0) [0|100] "V" 0, Table;` or `SGTYPE_ 256 Signal : Name;` */
  SGTYPE_: (cursor, token, out) => {
    const { kind } = cursor.peek;
    if (kind === 'number') {
      typeReference(cursor, token, out);
      return;
    }
    const name = cursor.name('the name of the signal type');
    cursor.expect(':');
    const length = cursor.integer('the length in bits');
    const { intel, signed } = order(cursor);
    const scale = scaling(cursor);
    const unit = cursor.string('the unit in quotes');
    const standard = cursor.peek.kind === 'number' ? cursor.number('the default value') : 0;
    cursor.accept(',');
    const table = cursor.peek.kind === 'word' && !cursor.atStatement ? cursor.name('the value table') : '';
    cursor.end();
    const byteOrder = intel ? 'intel' : 'motorola';
    out.signalTypes.push({ name, length, byteOrder, signed, ...scale, unit, standard, table });
  },

  SIG_TYPE_REF_: typeReference,

  /** `SIGTYPE_VALTYPE_ Name : 1;` */
  SIGTYPE_VALTYPE_: (cursor, _, out) => {
    const name = cursor.name('the name of the signal type');
    cursor.accept(':');
    out.signalTypeValues.set(name, cursor.integer('the type: 0 integer, 1 float, 2 double'));
    cursor.end();
  },

  /** `SIG_VALTYPE_ 256 Speed : 1;` */
  SIG_VALTYPE_: (cursor, token, out) => {
    const id = cursor.integer('the id of the message');
    const signal = cursor.name('the signal');
    cursor.accept(':');
    const type = cursor.integer('the type: 0 integer, 1 float, 2 double');
    cursor.end();
    out.valueTypes.push({ id, signal, type, token });
  },

  /** `SIG_GROUP_ 256 Wheels 1 : Left Right;` */
  SIG_GROUP_: (cursor, token, out) => {
    const id = cursor.integer('the id of the message');
    const name = cursor.name('the name of the group');
    const repetitions = cursor.integer('the repetitions');
    cursor.expect(':');
    const signals = cursor.names('a signal');
    cursor.end();
    out.groups.push({ id, name, repetitions, signals, token });
  },

  /** `SG_MUL_VAL_ 256 Cell Group 0-3, 8-8;` */
  SG_MUL_VAL_: (cursor, token, out) => {
    const id = cursor.integer('the id of the message');
    const signal = cursor.name('the signal');
    const multiplexer = cursor.name('the multiplexer');
    const ranges: { low: number; high: number }[] = [];
    while (cursor.peek.kind === 'number') {
      const at = cursor.peek;
      const low = cursor.integer('the first value of a range');
      cursor.accept('-');
      // `0-3` reads as 0 and -3.
      const high = Math.abs(cursor.number('the last value of a range'));
      if (high < low) {
        const message = `expected a range from low to high, found ${low}-${high}`;
        cursor.find(
          'TG_DBC_MULTIPLEX',
          at,
          message,
          `Write ${high}-${low}; as it stands it holds no value.`,
          'warning',
        );
      }
      ranges.push({ low, high });
      cursor.accept(',');
    }
    cursor.end();
    out.multiplexers.push({ id, signal, multiplexer, ranges, token });
  },

  /** `BO_TX_BU_ 256 : Gateway,Engine;` */
  BO_TX_BU_: (cursor, token, out) => {
    const id = cursor.integer('the id of the message');
    cursor.expect(':');
    const nodes = cursor.names('a node');
    cursor.end();
    out.senders.push({ id, nodes, token });
  },
};

function typeReference(...[cursor, token, out]: Parameters<Section>): void {
  const id = cursor.integer('the id of the message');
  const signal = cursor.name('the signal');
  cursor.expect(':');
  const type = cursor.name('the signal type');
  cursor.end();
  out.typeReferences.push({ id, signal, type, token });
}

function multiplexMark(cursor: Cursor): string {
  const token = cursor.peek;
  if (token.kind !== 'word' || !/^(M|m\d{1,15}M?)$/.test(token.text))
    throw new Misread(token, '":" or a multiplexer mark (M, m3, m3M)', 'Write M, m3 or m3M, or nothing.');
  return cursor.next().text;
}

/** `@1+`: 1 is Intel, 0 Motorola; + unsigned, - signed. */
function order(cursor: Cursor): { intel: boolean; signed: boolean } {
  cursor.expect('@');
  const token = cursor.peek;
  const intel = cursor.integer('the byte order, 0 or 1');
  if (intel > 1) throw new Misread(token, 'the byte order, 0 (Motorola) or 1 (Intel)', 'Write 0 or 1 after "@".');
  if (!cursor.is('+') && !cursor.is('-'))
    throw new Misread(cursor.peek, '"+" (unsigned) or "-" (signed)', 'Write + or - after the byte order.');
  return { intel: intel === 1, signed: cursor.next().text === '-' };
}

/** `(factor,offset) [minimum|maximum]` */
function scaling(cursor: Cursor): Pick<Statements['signalTypes'][number], 'factor' | 'offset' | 'minimum' | 'maximum'> {
  cursor.expect('(');
  const factor = cursor.number('the factor');
  cursor.expect(',');
  const offset = cursor.number('the offset');
  cursor.expect(')');
  cursor.expect('[');
  const minimum = cursor.number('the minimum');
  cursor.expect('|');
  const maximum = cursor.number('the maximum');
  cursor.expect(']');
  return { factor, offset, minimum, maximum };
}
