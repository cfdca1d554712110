import type { AttributeDefinition, AttributeObject, AttributeValue, RelationAttribute } from '../model.ts';
import { type Cursor, Misread } from './cursor.ts';
import { ownerOf } from './owner.ts';
import type { Statements } from './raw.ts';
import type { Section } from './sections.ts';

const OBJECTS: readonly string[] = ['BU_', 'BO_', 'SG_', 'EV_', 'BU_BO_REL_', 'BU_SG_REL_', 'BU_EV_REL_', 'SGTYPE_'];
const RELATIONS: readonly string[] = ['BU_BO_REL_', 'BU_SG_REL_', 'BU_EV_REL_'];
const TYPES: readonly string[] = ['INT', 'HEX', 'FLOAT', 'STRING', 'ENUM'];

/** Attributes: their definitions, defaults and values, and the same for pairs. */
export const ATTRIBUTE_SECTIONS: Readonly<Record<string, Section>> = {
  BA_DEF_: definition,
  BA_DEF_REL_: definition,
  BA_DEF_SGTYPE_: definition,
  BA_DEF_DEF_: standard,
  BA_DEF_DEF_REL_: standard,

  /** `BA_ "GenMsgCycleTime" BO_ 256 100;` */
  BA_: (cursor, token, out) => {
    const name = cursor.string('the name of the attribute in quotes');
    const owner = ownerOf(cursor);
    const value = attributeValue(cursor);
    cursor.end();
    out.attributes.push({ name, owner, value, token });
  },

  /** `BA_REL_ "Timeout" BU_SG_REL_ Dash SG_ 256 Speed 500;` */
  BA_REL_: (cursor, token, out) => {
    const name = cursor.string('the name of the attribute in quotes');
    const kind = cursor.peek;
    if (!isRelation(kind.text))
      throw new Misread(kind, 'BU_BO_REL_, BU_SG_REL_ or BU_EV_REL_', 'Name the kind of pair.');
    cursor.next();
    const relation = kind.text;
    const node = cursor.name('the node');
    let id: number | null = null;
    let of: string | null = null;
    if (relation === 'BU_EV_REL_') of = cursor.name('the variable');
    else {
      if (cursor.peek.text === 'SG_' || cursor.peek.text === 'BO_') cursor.next();
      id = cursor.integer('the id of the message');
      if (relation === 'BU_SG_REL_') of = cursor.name('the signal');
    }
    const value = attributeValue(cursor);
    cursor.end();
    out.relations.push({ name, relation, node, id, of, value, token });
  },
};

function isRelation(word: string): word is RelationAttribute['relation'] {
  return RELATIONS.includes(word);
}

function isObject(word: string): word is AttributeObject {
  return OBJECTS.includes(word);
}

function isType(word: string): word is AttributeDefinition['type'] {
  return TYPES.includes(word);
}

/** `BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;` */
function definition(cursor: Cursor, token: { text: string }, out: Statements): void {
  let object: AttributeObject = token.text === 'BA_DEF_SGTYPE_' ? 'SGTYPE_' : '';
  const first = cursor.peek;
  if (first.kind === 'word') {
    if (!isObject(first.text))
      throw new Misread(first, `one of ${OBJECTS.join(', ')} or a name in quotes`, 'Name what it belongs to.');
    object = first.text;
    cursor.next();
  }
  const at = cursor.peek;
  const name = cursor.string('the name of the attribute in quotes');
  const type = cursor.peek;
  if (!isType(type.text)) throw new Misread(type, `one of ${TYPES.join(', ')}`, 'Name the type of the attribute.');
  cursor.next();
  const values: string[] = [];
  const range: number[] = [];
  while (cursor.peek.kind === 'string' || cursor.peek.kind === 'number') {
    if (cursor.peek.kind === 'string') values.push(cursor.string('a value'));
    else range.push(cursor.number('a limit'));
    cursor.accept(',');
  }
  cursor.end();
  const [minimum = null, maximum = null] = range;
  out.definitions.push({ name, object, type: type.text, minimum, maximum, values, token: at });
}

/** `BA_DEF_DEF_ "GenMsgCycleTime" 100;` */
function standard(cursor: Cursor, token: Parameters<Section>[1], out: Statements): void {
  // Some tools name the object here too.
  if (cursor.peek.kind === 'word' && isObject(cursor.peek.text)) cursor.next();
  const name = cursor.string('the name of the attribute in quotes');
  out.defaults.set(name, { value: attributeValue(cursor), token });
  cursor.end();
}

function attributeValue(cursor: Cursor): AttributeValue {
  if (cursor.peek.kind === 'string') return cursor.string('a value');
  return cursor.number('a number or a text in quotes');
}
