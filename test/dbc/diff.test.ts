import { describe, expect, it } from 'vitest';
import { diffDatabases, loadDatabase } from '#dbc';
import { WHOLE } from './texts.ts';

const A = `VERSION "1"
BU_: Gateway Dash
VAL_TABLE_ OnOff 0 "Off" 1 "On" ;
BO_ 256 Engine: 8 Gateway
 SG_ Speed : 0|16@1+ (0.25,0) [0|8000] "rpm" Dash
 SG_ Mode M : 16|2@1+ (1,0) [0|3] "" Dash
 SG_ Hot m0 : 24|8@1+ (1,0) [0|0] "" Dash
BO_ 512 Body: 4 Gateway
 SG_ Door : 0|1@1+ (1,0) [0|0] "" Dash
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 1000;
BA_ "GenMsgCycleTime" BO_ 256 20;
VAL_ 256 Mode 0 "Hot" 1 "Cold" ;
`;
/** What changes when `from` becomes `to` in the text. */
function changed(from: string, to: string): string[] {
  expect(A).toContain(from);
  return texts(A, A.replace(from, to));
}
const texts = (a: string, b: string) => diffDatabases(load(a), load(b)).map(({ text }) => text);
const load = (text: string) => loadDatabase(text, { file: 'x.dbc' }).database;

describe('the difference of two databases', () => {
  it.each([
    ['a scale', '(0.25,0)', '(0.5,0)', 'signal Engine.Speed: factor was 0.25, is 0.5'],
    ['an offset', '(0.25,0)', '(0.25,-3)', 'signal Engine.Speed: offset was 0, is -3'],
    ['a unit', '"rpm"', '"1/min"', 'signal Engine.Speed: unit was "rpm", is "1/min"'],
    ['limits', '[0|8000]', '[0|9000]', 'signal Engine.Speed: limits were 0 to 8000, are 0 to 9000'],
    ['a sign', '16@1+', '16@1-', 'signal Engine.Speed: sign was unsigned, is signed'],
    [
      'a place',
      '0|16@1',
      '7|16@0',
      'signal Engine.Speed: place was 16 bits from 0, Intel, is 16 bits from 7, Motorola',
    ],
    ['a branch', 'm0', 'm1', 'signal Engine.Hot: branch was Mode is 0, is Mode is 1'],
    ['a label', '1 "Cold" ;', '1 "Cool" ;', 'signal Engine.Mode: the label of 1 was "Cold", is "Cool"'],
    ['a value table', '1 "On" ;', '1 "On" 2 "Auto" ;', 'value table OnOff: the label "Auto" of 2 was added'],
    ['a length', 'Body: 4', 'Body: 5', 'message Body: length was 4 bytes, is 5 bytes'],
    ['a frame format', 'Body: 4', 'Body: 12', 'message Body: frame format was classic, is CAN FD'],
    ['a name', 'Door :', 'Lock :', 'signal Body.Door was renamed Lock'],
    ['the name of a message', '512 Body', '512 Cabin', 'message Body (0x200) was renamed Cabin'],
    ['an id', '512 Body', '513 Body', 'message Body: id was 0x200, is 0x201'],
    ['an attribute', '256 20', '256 50', 'message Engine: attribute GenMsgCycleTime was 20, is 50'],
    ['the version', '"1"', '"2"', 'the database: version was "1", is "2"'],
    ['a node', 'Gateway Dash', 'Gateway Dash Radio', 'node Radio was added'],
    ['a sender', '4 Gateway', '4 Dash', 'message Body: senders were Gateway, are Dash'],
  ])('tells %s', (_, from, to, text) => {
    expect(changed(from, to)).toContain(text);
  });

  it('tells the definition of an attribute', () => {
    expect(changed('INT 0 1000', 'INT 0 2000')).toEqual([
      expect.stringMatching(/^attribute definition GenMsgCycleTime of BO_ was .*1000.*, is .*2000/),
    ]);
  });

  it('tells what came and went', () => {
    const body = A.slice(A.indexOf('BO_ 512'), A.indexOf('BA_DEF_'));
    expect(texts(A, A.replace(body, ''))).toEqual(['message Body (0x200, 4 bytes, 1 signal) was removed']);
    expect(texts(A.replace(body, ''), A)).toEqual(['message Body (0x200, 4 bytes, 1 signal) was added']);
    const door = ' SG_ Door : 0|1@1+ (1,0) [0|0] "" Dash\n';
    expect(texts(A, A.replace(door, ''))).toEqual(['signal Body.Door (1 bit from 0, Intel) was removed']);
  });

  it('does not see the order of things', () => {
    const [first, second] = [
      A.slice(A.indexOf('BO_ 256'), A.indexOf('BO_ 512')),
      A.slice(A.indexOf('BO_ 512'), A.indexOf('BA_DEF_')),
    ];
    expect(texts(A, A.replace(first + second, second + first))).toEqual([]);
    expect(changed('0 "Hot" 1 "Cold"', '1 "Cold" 0 "Hot"')).toEqual([]);
  });

  it('is nothing between a database and itself, whatever it holds', () => {
    expect(texts(WHOLE, WHOLE)).toEqual([]);
  });

  it('marks what changes how a frame is read', () => {
    const meaning = (from: string, to: string) =>
      diffDatabases(load(A), load(A.replace(from, to))).map(({ isMeaning }) => isMeaning);
    expect(meaning('(0.25,0)', '(0.5,0)')).toEqual([true]);
    expect(meaning('[0|8000]', '[0|9000]')).toEqual([false]);
  });
});
