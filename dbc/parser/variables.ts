import type { EnvironmentVariable } from '../model.ts';
import type { Section } from './sections.ts';

const TYPES: readonly EnvironmentVariable['type'][] = ['integer', 'float', 'string'];
/** Bit 15 of the access type marks a text. */
const STRING_ACCESS = /^DUMMY_NODE_VECTOR8/;

/** Variables of simulations. */
export const VARIABLE_SECTIONS: Readonly<Record<string, Section>> = {
  /** `EV_ Ignition: 0 [0|3] "" 0 7 DUMMY_NODE_VECTOR0 Gateway;` */
  EV_: (cursor, _, out) => {
    const name = cursor.name('the name of the variable');
    cursor.expect(':');
    const type = cursor.integer('the type: 0 integer, 1 float, 2 text');
    cursor.expect('[');
    const minimum = cursor.number('the minimum');
    cursor.expect('|');
    const maximum = cursor.number('the maximum');
    cursor.expect(']');
    const unit = cursor.string('the unit in quotes');
    const initial = cursor.number('the initial value');
    const id = cursor.integer('the id of the variable');
    const access = cursor.name('the access type');
    const nodes = cursor.names('a node');
    cursor.end();
    out.variables.push({
      name,
      type: STRING_ACCESS.test(access) ? 'string' : (TYPES[type] ?? 'integer'),
      minimum,
      maximum,
      unit,
      initial,
      id,
      access,
      nodes,
    });
  },

  ENVVAR_DATA_: dataBytes,
  EV_DATA_: dataBytes,
};

/** `ENVVAR_DATA_ Blob: 10;` */
function dataBytes(...[cursor, _, out]: Parameters<Section>): void {
  const name = cursor.name('the name of the variable');
  cursor.expect(':');
  out.variableBytes.set(name, cursor.integer('the length in bytes'));
  cursor.end();
}
