import type { Cursor } from './cursor.ts';
import type { Owner } from './raw.ts';

/** `BU_ Gateway`, `BO_ 256`, `SG_ 256 Speed`, `EV_ Ignition`, or nothing for the network. */
export function ownerOf(cursor: Cursor): Owner {
  const token = cursor.peek;
  if (token.kind !== 'word') return { kind: 'network' };
  switch (token.text) {
    case 'BU_':
      cursor.next();
      return { kind: 'node', node: cursor.name('the node') };
    case 'BO_':
      cursor.next();
      return { kind: 'message', id: cursor.integer('the id of the message') };
    case 'SG_':
      cursor.next();
      return signalOwner(cursor);
    case 'EV_':
      cursor.next();
      return { kind: 'variable', variable: cursor.name('the variable') };
    default:
      return { kind: 'network' };
  }
}

function signalOwner(cursor: Cursor): Owner {
  const id = cursor.integer('the id of the message');
  if (cursor.peek.kind !== 'string') return { kind: 'signal', id, signal: cursor.name('the name of the signal') };
  cursor.find(
    'TG_DBC_SYNTAX',
    cursor.peek,
    `expected the name of a signal, found the text`,
    `Name the signal after ${id}, or write BO_; it was read as the message's.`,
  );
  return { kind: 'message', id };
}

/** An id without BO_ or SG_ before it, as some files have it: what follows tells which is meant. */
export function untypedOwner(cursor: Cursor): Owner {
  const token = cursor.peek;
  const isSignal = cursor.afterPeek.kind === 'word';
  const missing = isSignal ? 'SG_' : 'BO_';
  cursor.find(
    'TG_DBC_SYNTAX',
    token,
    `expected ${missing} before the id, found "${token.text}"`,
    `Write CM_ ${missing} ${token.text}; it was read so.`,
  );
  const id = cursor.integer('the id of the message');
  return isSignal ? { kind: 'signal', id, signal: cursor.name('the signal') } : { kind: 'message', id };
}
