import { idWordOf } from './ids.ts';
import type { AttributeDefinition, AttributeObject, AttributeValue, Finding } from './model.ts';
import type { Owner, Statements } from './parser/raw.ts';

const OBJECTS: Readonly<Record<Owner['kind'], AttributeObject>> = {
  network: '',
  node: 'BU_',
  message: 'BO_',
  signal: 'SG_',
  variable: 'EV_',
};

/** Finds statements about messages, signals, nodes and variables that are not there. */
export function checkReferences(raw: Statements): void {
  const messages = new Map<number, { name: string; signals: Set<string> }>();
  for (const { id, name, signals } of raw.messages) {
    const word = idWordOf(id);
    const known = messages.get(word) ?? { name, signals: new Set<string>() };
    for (const signal of signals) known.signals.add(signal.name);
    messages.set(word, known);
  }
  const nodes = new Set(raw.nodes);
  const variables = new Set(raw.variables.map(({ name }) => name));
  const missing = (id: number, signal?: string): string | null => {
    const message = messages.get(idWordOf(id));
    if (message === undefined) return `expected the id of a message, found ${id}`;
    if (signal === undefined || message.signals.has(signal)) return null;
    return `expected a signal of ${message.name}, found ${signal}`;
  };
  const find = ({ line, column }: { line: number; column: number }, message: string | null) => {
    if (message === null) return;
    const fix = 'Correct it, or remove the statement; it was passed over.';
    raw.findings.push({ severity: 'warning', code: 'TG_DBC_REFERENCE', line, column, message, fix });
  };
  for (const { owner, token } of [...raw.comments, ...raw.attributes]) {
    if (owner.kind === 'message') find(token, missing(owner.id));
    else if (owner.kind === 'signal') find(token, missing(owner.id, owner.signal));
    else if (owner.kind === 'node' && !nodes.has(owner.node))
      find(token, `expected a node of BU_, found ${owner.node}`);
    else if (owner.kind === 'variable' && !variables.has(owner.variable))
      find(token, `expected a variable of EV_, found ${owner.variable}`);
  }
  for (const { id, signal, token } of [...raw.labels, ...raw.valueTypes, ...raw.typeReferences])
    find(token, missing(id, signal));
  for (const { id, signal, multiplexer, token } of raw.multiplexers)
    find(token, missing(id, signal) ?? missing(id, multiplexer));
  for (const { id, token } of raw.senders) find(token, missing(id));
  for (const { id, signals, token } of raw.groups)
    find(token, missing(id) ?? signals.map((signal) => missing(id, signal)).find((text) => text !== null) ?? null);
}

/** Finds attributes that nothing defines, of another object, or with a value that their type does not have. */
export function checkAttributes(raw: Statements, definitions: readonly AttributeDefinition[]): void {
  const byName = new Map(definitions.map((definition) => [definition.name, definition]));
  const owned = new Set(definitions.map(({ name, object }) => `${object} ${name}`));
  const find = (token: { line: number; column: number }, message: string, severity: Finding['severity']) => {
    const fix = 'Correct the value or its BA_DEF_; it was kept as it stands.';
    raw.findings.push({ severity, code: 'TG_DBC_ATTRIBUTE', line: token.line, column: token.column, message, fix });
  };
  for (const [name, { value, token }] of raw.defaults) {
    const definition = byName.get(name);
    if (definition === undefined) find(token, `expected a BA_DEF_ for the default of "${name}", found none`, 'warning');
    else if (misfit(definition, value) !== null) find(token, misfit(definition, value)!, 'warning');
  }
  for (const { name, value, token, relation } of [
    ...raw.attributes.map((one) => ({ ...one, relation: OBJECTS[one.owner.kind] })),
    ...raw.relations,
  ]) {
    const definition = byName.get(name);
    if (definition === undefined) {
      find(token, `expected a BA_DEF_ for "${name}", found none`, 'error');
      continue;
    }
    if (!owned.has(`${relation} ${name}`)) {
      const wanted = definition.object === '' ? 'the network' : definition.object;
      find(
        token,
        `expected "${name}" at ${wanted}, found it at ${relation === '' ? 'the network' : relation}`,
        'warning',
      );
    }
    const text = misfit(definition, value);
    // A text where a number belongs stops other readers; a number out of its range does not.
    if (text !== null) find(token, text, typeof value === 'string' && definition.type !== 'ENUM' ? 'error' : 'warning');
  }
}

function misfit(definition: AttributeDefinition, value: AttributeValue): string | null {
  const { name, type, minimum, maximum, values } = definition;
  if (type === 'STRING') return typeof value === 'string' ? null : `expected a text for "${name}", found ${value}`;
  if (type === 'ENUM') {
    const isValid = typeof value === 'string' ? value === '' || values.includes(value) : values[value] !== undefined;
    return isValid ? null : `expected one of ${values.join(', ')} for "${name}", found ${value}`;
  }
  if (typeof value === 'string') return `expected a number for "${name}", found "${value.slice(0, 40)}"`;
  if (minimum === null || maximum === null || (minimum === 0 && maximum === 0)) return null;
  if (value >= minimum && value <= maximum) return null;
  return `expected ${minimum} to ${maximum} for "${name}", found ${value}`;
}
