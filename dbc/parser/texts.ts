import type { Label } from '../model.ts';
import type { Cursor } from './cursor.ts';
import { ownerOf, untypedOwner } from './owner.ts';
import type { Section } from './sections.ts';

/** Comments and the words for values. */
export const TEXT_SECTIONS: Readonly<Record<string, Section>> = {
  /** `CM_ SG_ 256 Speed "of the engine";` */
  CM_: (cursor, token, out) => {
    const owner = cursor.peek.kind === 'number' ? untypedOwner(cursor) : ownerOf(cursor);
    const text = cursor.string('the comment in quotes');
    cursor.end();
    out.comments.push({ owner, text, token });
  },

  /** `VAL_TABLE_ OnOff 1 "On" 0 "Off" ;` */
  VAL_TABLE_: (cursor, _, out) => {
    const name = cursor.name('the name of the table');
    out.valueTables.set(name, labelList(cursor));
    cursor.end();
  },

  /** `VAL_ 256 Gear 0 "Neutral" 1 "First" ;`, `VAL_ 256 Gear Table;`, `VAL_ Variable 0 "Off" ;` */
  VAL_: (cursor, token, out) => {
    if (cursor.peek.kind === 'word' && !/^\d/.test(cursor.peek.text)) {
      const variable = cursor.name('the variable');
      out.variableLabels.set(variable, labelList(cursor));
      cursor.end();
      return;
    }
    const id = cursor.integer('the id of the message');
    const signal = cursor.name('the signal');
    const table = out.valueTables.get(cursor.peek.kind === 'word' ? cursor.peek.text : '');
    if (table !== undefined) cursor.next();
    const labels = table ?? labelList(cursor);
    cursor.end();
    out.labels.push({ id, signal, labels, token });
  },
};

function labelList(cursor: Cursor): Label[] {
  const labels: Label[] = [];
  while (cursor.peek.kind === 'number' || (cursor.peek.kind === 'word' && /^0x/i.test(cursor.peek.text))) {
    const token = cursor.peek;
    const number = cursor.number('a value');
    const isWhole = /^[+-]?\d+$/.test(token.text);
    if (!isWhole && !Number.isInteger(number)) {
      cursor.find(
        'TG_DBC_NUMBER',
        token,
        `expected a whole number, found "${token.text}"`,
        `Labels belong to raw values; it was read as ${Math.trunc(number)}.`,
        'warning',
      );
    }
    const value = isWhole ? BigInt(token.text.replace('+', '')) : BigInt(Math.trunc(number));
    labels.push({ value, text: cursor.string('a label in quotes') });
  }
  return labels;
}
