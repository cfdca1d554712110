import { describe, expect, it } from 'vitest';
import { lintDatabase } from '#dbc';
import { HEAD, load, WHOLE } from './texts.ts';

function lint(lines: string): string[] {
  const { database } = load(`${HEAD}${lines}\n`);
  return lintDatabase(database).map(({ code, severity, line }) => `${line} ${code} ${severity}`);
}

const message = (signal: string, length = 8) => `BO_ 1 M: ${length} Dash\n SG_ ${signal}`;

describe('lint', () => {
  it('has nothing to say about a tidy database', () => {
    expect(lintDatabase(load(WHOLE).database)).toEqual([]);
  });

  it.each([
    ['a minimum above the maximum', message('A : 0|8@1+ (1,0) [9|1] "" Dash'), '10 TG_DBC_RANGE warning'],
    ['limits that the bits cannot reach', message('A : 0|8@1+ (1,0) [0|256] "" Dash'), '10 TG_DBC_RANGE warning'],
    ['a factor of 0', message('A : 0|8@1+ (0,0) [0|0] "" Dash'), '10 TG_DBC_RANGE warning'],
    ['a node that is not declared', message('A : 0|8@1+ (1,0) [0|0] "" Nobody'), '10 TG_DBC_REFERENCE warning'],
    ['a length that no frame has', message('A : 0|8@1+ (1,0) [0|0] "" Dash', 9), '9 TG_DBC_FIT warning'],
    ['a name that tools cut', message(`${'A'.repeat(33)} : 0|8@1+ (1,0) [0|0] "" Dash`), '10 TG_DBC_NAME warning'],
    [
      'two labels for one value',
      `${message('A : 0|8@1+ (1,0) [0|0] "" Dash')}\nVAL_ 1 A 1 "x" 1 "y" ;`,
      '10 TG_DBC_DUPLICATE warning',
    ],
    [
      'a label that the bits cannot hold',
      `${message('A : 0|2@1- (1,0) [0|0] "" Dash')}\nVAL_ 1 A 2 "x" ;`,
      '10 TG_DBC_RANGE warning',
    ],
    [
      'a branch that never comes',
      `${message('A M : 0|2@1+ (1,0) [0|0] "" Dash')}\n SG_ B m4 : 8|2@1+ (1,0) [0|0] "" Dash`,
      '11 TG_DBC_MULTIPLEX warning',
    ],
    ['a signal that does not fit', message('A : 60|8@1+ (1,0) [0|0] "" Dash'), '10 TG_DBC_FIT error'],
  ])('finds %s', (_, lines, expected) => {
    expect(lint(lines)).toEqual([expected]);
  });

  it('allows limits that were rounded by less than a step', () => {
    expect(lint(message('A : 0|8@1+ (0.4,0) [0|102.1] "" Dash'))).toEqual([]);
  });
});
