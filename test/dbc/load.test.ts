import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { loadDatabase } from '#dbc';
import { ENGINE, HEAD, load, WHOLE } from './texts.ts';

function errorOf(work: () => unknown): TollgateError {
  try {
    work();
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** `line:column code severity` of every finding. */
function places(text: string): string[] {
  return load(text).findings.map(({ line, column, code, severity }) => `${line}:${column} ${code} ${severity}`);
}

const engineAnd = (line: string) => `${ENGINE}${line}\n`;
const AFTER_LINE = ENGINE.split('\n').length;

describe('a database that uses the whole language', () => {
  const { database, findings } = load(WHOLE);
  const [engine, far, cells, plain] = database.messages;

  it('loads without a finding, strictly too', () => {
    expect(findings).toEqual([]);
    expect(() => loadDatabase(WHOLE, { file: 'car.dbc', strict: true })).not.toThrow();
  });

  it('keeps version, nodes and value tables', () => {
    expect(database.version).toBe('whole "file"');
    expect(database.nodes.map(({ name, comment }) => [name, comment])).toEqual([
      ['Gateway', ''],
      ['Dash', 'shows things'],
      ['Engine_Controller_With_A_Long_Name', ''],
    ]);
    expect([...database.valueTables]).toEqual([
      [
        'OnOff',
        [
          { value: 1n, text: 'On' },
          { value: 0n, text: 'Off' },
        ],
      ],
    ]);
  });

  it('reads where bits lie and what they mean', () => {
    expect(
      engine!.signals.map(({ name, start, length, byteOrder, signed, factor, offset }) => [
        name,
        start,
        length,
        byteOrder,
        signed,
        factor,
        offset,
      ]),
    ).toEqual([
      ['Speed', 0, 16, 'intel', false, 0.25, 0],
      ['Torque', 23, 16, 'motorola', true, 0.1, -5],
      ['Load', 32, 32, 'intel', true, 1, 0],
    ]);
    expect(engine!.signals[2]!.valueType).toBe('float32');
    expect(plain!.signals[2]!.factor).toBe(1e-7);
  });

  it('tells 29-bit ids, CAN FD and J1939', () => {
    expect([engine!.id, engine!.extended, engine!.fd, engine!.j1939]).toEqual([256, false, true, false]);
    expect([far!.id, far!.extended, far!.fd, far!.j1939]).toEqual([2566848766 - 2 ** 31, true, true, true]);
  });

  it('takes J1939 from the network where a message says nothing of itself', () => {
    const network = WHOLE.replace('BA_ "VFrameFormat" BO_ 2566848766 3;', 'BA_ "ProtocolType" "J1939";').replace(
      'BA_DEF_ "BusType"',
      'BA_DEF_ "ProtocolType" STRING ;\nBA_DEF_ "BusType"',
    );
    expect(load(network).database.messages.map(({ name, j1939 }) => [name, j1939])).toEqual([
      ['Engine', false],
      ['Far', true],
      ['Cells', false],
      ['Plain', false],
    ]);
  });

  it('links multiplexers: one level by marks, more levels and ranges by SG_MUL_VAL_', () => {
    const branches = [...cells!.signals, ...plain!.signals].map(
      ({ name, isMultiplexer, multiplexer, multiplexRanges }) =>
        [name, isMultiplexer, multiplexer, multiplexRanges.map(({ low, high }) => `${low}-${high}`).join()].join(' '),
    );
    expect(branches).toEqual([
      'Page true  ',
      'Half true Page 0-3,8-8',
      'Deep false Half 1-1',
      'Wide_Because_It_Has_More_Than_32_Characters false Page 4-4,100-200',
      'Kind true  ',
      'First false Kind 0-0',
      'Second false Kind 255-255',
    ]);
  });

  it('reads several senders, groups, comments, attributes and labels', () => {
    expect(engine!.senders).toEqual(['Gateway', 'Dash']);
    expect(plain!.senders).toEqual([]);
    expect(engine!.groups).toEqual([{ name: 'Main', repetitions: 1, signals: ['Speed', 'Torque'] }]);
    expect(database.comment).toBe('the network');
    expect(engine!.comment).toBe('what the engine does,\nin two lines; with // no comment');
    expect(engine!.signals[0]!.comment).toBe('of the "crankshaft"');
    expect(engine!.attributes.get('GenMsgCycleTime')).toBe(20);
    expect(engine!.signals[0]!.attributes.get('Weight')).toBe(-0.5);
    expect(far!.signals[0]!.labels).toEqual([
      { value: -(2n ** 63n), text: 'Lowest' },
      { value: 2n ** 53n + 1n, text: 'Beyond 2^53' },
    ]);
  });

  it('keeps what does not change a frame', () => {
    const extras = database.extras!;
    expect(extras.newSymbols).toEqual(['CM_', 'BA_DEF_', 'NS_DESC_', 'SG_MUL_VAL_']);
    expect(extras.definitions.find(({ name }) => name === 'GenMsgCycleTime')).toEqual({
      name: 'GenMsgCycleTime',
      object: 'BO_',
      type: 'INT',
      minimum: 0,
      maximum: 65535,
      values: [],
      standard: 0,
    });
    expect(extras.relations.map(({ name, node, id, of, value }) => [name, node, id, of, value])).toEqual([
      ['Timeout', 'Dash', 256, 'Speed', 500],
      ['Wanted', 'Dash', 512, null, 1],
      ['Panel', 'Dash', null, 'Ignition', 'left'],
    ]);
    expect(extras.variables.map(({ name, type, dataBytes, comment }) => [name, type, dataBytes, comment])).toEqual([
      ['Ignition', 'integer', null, 'the key'],
      ['Blob', 'integer', 10, ''],
      ['Name', 'string', null, ''],
    ]);
    expect(extras.signalTypes.map(({ name, table }) => [name, table])).toEqual([['Volt', 'OnOff']]);
    expect(extras.independent?.signals.map(({ name }) => name)).toEqual(['Lonely']);
    expect(extras.verbatim).toEqual(['CAT_DEF_ 1 Category 0;']);
  });
});

describe('the lenient loader', () => {
  it('reads a 29-bit id without bit 31, and says where', () => {
    const text = `${HEAD}BO_ 418119424 Far: 8 Gateway\n SG_ A : 0|8@1+ (1,0) [0|0] "" Dash\nCM_ BO_ 418119424 "kept";\n`;
    const { database, findings } = load(text);
    expect(database.messages[0]).toMatchObject({ id: 418119424, extended: true, comment: 'kept' });
    expect(findings).toEqual([
      {
        severity: 'error',
        code: 'TG_DBC_ID',
        line: 9,
        column: 1,
        message: 'expected bit 31 in the 29-bit id of Far, found 418119424',
        fix: 'Write 2565603072; it was read so.',
      },
    ]);
  });

  it.each([
    ['a name that begins with a digit', 'BO_ 1275 2017_5: 8 Dash', '11:10 TG_DBC_NAME error'],
    ['a number such as .25', 'BO_ 1 M: 8 Dash\n SG_ A : 0|8@1+ (.25,0) [0|0] "" Dash', '12:18 TG_DBC_NUMBER error'],
    ['a hexadecimal id', 'BO_ 0x10 M: 8 Dash', '11:5 TG_DBC_NUMBER error'],
    ['CM_ without BO_', 'CM_ 256 "x";', '11:5 TG_DBC_SYNTAX error'],
    ['CM_ without SG_', 'CM_ 256 Speed "x";', '11:5 TG_DBC_SYNTAX error'],
    ['CM_ SG_ without a signal', 'CM_ SG_ 256 "x";', '11:13 TG_DBC_SYNTAX error'],
    ['a statement without its semicolon', 'CM_ BO_ 256 "x"\nCM_ BU_ Dash "y";', '12:1 TG_DBC_SYNTAX warning'],
    ['a signal beyond its message', 'BO_ 1 M: 1 Dash\n SG_ A : 0|9@1+ (1,0) [0|0] "" Dash', '12:2 TG_DBC_FIT error'],
    [
      'a Motorola signal beyond its message',
      'BO_ 1 M: 1 Dash\n SG_ A : 6|8@0+ (1,0) [0|0] "" Dash',
      '12:2 TG_DBC_FIT error',
    ],
    [
      'signals that share bits',
      'BO_ 1 M: 2 Dash\n SG_ A : 0|9@1+ (1,0) [0|0] "" Dash\n SG_ B : 15|8@0+ (1,0) [0|0] "" Dash',
      '13:2 TG_DBC_OVERLAP error',
    ],
    ['a label for nothing', 'VAL_ 256 Sped 0 "x" ;', '11:1 TG_DBC_REFERENCE warning'],
    ['an attribute without definition', 'BA_ "Cycle" BO_ 256 1;', '11:1 TG_DBC_ATTRIBUTE error'],
    ['a float of the wrong width', 'SIG_VALTYPE_ 256 Speed : 1;', '11:1 TG_DBC_TYPE warning'],
    [
      'a branch without multiplexer',
      'BO_ 1 M: 1 Dash\n SG_ A m0 : 0|8@1+ (1,0) [0|0] "" Dash',
      '12:2 TG_DBC_MULTIPLEX error',
    ],
    ['an unknown keyword', 'HELLO 1 2 3;', '11:1 TG_DBC_SYNTAX error'],
    ['keywords of NS_ at the begin of their lines', 'NS_ :\nCM_\nBA_DEF_\n', '12:1 TG_DBC_SYNTAX warning'],
  ])('reads on after %s, with one finding at its place', (_, line, place) => {
    expect(AFTER_LINE).toBe(11);
    expect(places(engineAnd(line))).toEqual([place]);
    expect(load(engineAnd(line)).database.messages[0]!.signals[0]!.name).toBe('Speed');
  });

  it('says what came and what was expected', () => {
    const { findings } = load(engineAnd('BO_ 1 M: 8 Dash\n SG_ A : 0|8#1+ (1,0) [0|0] "" Dash'));
    expect(findings[0]).toMatchObject({
      line: 12,
      column: 13,
      message: 'expected "@", found "#"',
      fix: 'Write "@" here.',
    });
  });

  it('skips a broken line only', () => {
    const { database } = load(`${HEAD}BO_ 1 M: 8 Dash
 SG_ A : 0|8@1+ (1,0) [0|0] "" Dash
 SG_ B : 8|x@1+ (1,0) [0|0] "" Dash
 SG_ C : 16|8@1+ (1,0) [0|0] "" Dash
`);
    expect(database.messages[0]!.signals.map(({ name }) => name)).toEqual(['A', 'C']);
  });

  it('finds the end of a string that was never closed', () => {
    const { database, findings } = load(engineAnd('CM_ BO_ 256 "lost;\nCM_ SG_ 256 Speed "kept";'));
    expect(findings.map(({ line, column, message }) => [line, column, message])).toEqual([
      [11, 13, 'expected the comment in quotes, found a quote that is not closed'],
    ]);
    expect(database.messages[0]!.signals[0]!.comment).toBe('kept');
  });

  it('leaves a comment whole that quotes DBC lines', () => {
    const comment = 'formerly\nBO_ 1 Old: 8 X\n SG_ Old : 0|8@1+ (1,0) [0|0] u Dash\n';
    expect(load(engineAnd(`CM_ BO_ 256 "${comment}";`)).database.messages[0]!.comment).toBe(comment);
  });

  it('never reads a multiplexer that depends on itself', () => {
    const { database, findings } = load(`${HEAD}BO_ 1 M: 8 Dash
 SG_ A m0M : 0|8@1+ (1,0) [0|0] "" Dash
 SG_ B m0M : 8|8@1+ (1,0) [0|0] "" Dash
SG_MUL_VAL_ 1 A B 0-0;
SG_MUL_VAL_ 1 B A 0-0;
`);
    expect(database.messages[0]!.signals.map(({ multiplexer }) => multiplexer)).toEqual([null, 'A']);
    expect(findings.map(({ code, line }) => [code, line])).toEqual([['TG_DBC_MULTIPLEX', 10]]);
  });

  it('lets branches of different values share bits, at any depth', () => {
    const inner = ` SG_ C m0 : 16|8@1+ (1,0) [0|0] "" Dash\n SG_ D m1 : 16|8@1+ (1,0) [0|0] "" Dash\n`;
    const text = `${HEAD}BO_ 1 M: 8 Dash\n SG_ A M : 0|8@1+ (1,0) [0|0] "" Dash\n${inner}`;
    expect(load(text).findings).toEqual([]);
    expect(load(text.replace('D m1', 'D m0')).findings.map(({ code }) => code)).toEqual(['TG_DBC_OVERLAP']);
  });

  it('takes statements about an id that two messages have for the first of them', () => {
    const twice = engineAnd(' SG_ Torque : 16|8@1+ (1,0) [0|0] "" Dash\nBO_ 256 Twin: 8 Dash\nCM_ BO_ 256 "first";');
    const { database, findings } = load(twice);
    expect(database.messages.map(({ name, comment }) => [name, comment])).toEqual([
      ['Engine', 'first'],
      ['Twin', ''],
    ]);
    expect(findings.map(({ code, line }) => [code, line])).toEqual([['TG_DBC_DUPLICATE', 12]]);
  });
});

describe('the strict loader', () => {
  it('refuses the first error with its place', () => {
    const text = `${HEAD}BO_ 1 M: 1 Dash\n SG_ A : 0|9@1+ (1,0) [0|0] "" Dash\n`;
    const error = errorOf(() => loadDatabase(text, { file: 'car.dbc', strict: true }));
    expect(error).toMatchObject({ code: 'TG_DBC_FIT', place: { file: 'car.dbc', line: 10, column: 2 } });
  });

  it('lets warnings pass', () => {
    expect(() => loadDatabase(engineAnd('CM_ BO_ 999 "x";'), { file: 'car.dbc', strict: true })).not.toThrow();
  });
});

describe('a file that is no database', () => {
  it.each([
    ['empty', '', 'expected a statement of the DBC language (VERSION, BU_, BO_, …), found the end of the file', 1, 1],
    ['of another language', '\n  {"a": 1}', 'expected a keyword of the DBC language, found "{"', 2, 3],
  ])('is refused when it is %s, with its place', (_, text, message, line, column) => {
    const error = errorOf(() => loadDatabase(text, { file: 'x.dbc' }));
    expect(error).toMatchObject({ code: 'TG_DBC_SYNTAX', message, place: { file: 'x.dbc', line, column } });
  });
});

describe('the encoding of a file', () => {
  const unit = (bytes: readonly number[]) => {
    const [before, behind] = `${HEAD}BO_ 1 M: 1 Dash\n SG_ A : 0|8@1+ (1,0) [0|0] "|" Dash\n`.split('"|"');
    return Uint8Array.from([...Buffer.from(`${before}"`), ...bytes, ...Buffer.from(`"${behind}`)]);
  };
  const unitOf = (bytes: Uint8Array, encoding?: 'utf-8' | 'windows-1252' | 'gb18030') => {
    const options = encoding === undefined ? { file: 'x.dbc' } : { file: 'x.dbc', encoding };
    const { database, findings } = loadDatabase(bytes, options);
    return [database.messages[0]!.signals[0]!.unit, ...findings.map(({ code, line }) => `${code}:${line}`)];
  };

  it.each([
    ['UTF-8', [0xc2, 0xb0, 0x43], '°C'],
    ['windows-1252', [0xb0, 0x43], '°C'],
    ['windows-1252, two accented letters together', [0x47, 0x72, 0xf6, 0xdf, 0x65], 'Größe'],
    ['GB18030', [0xcb, 0xd9, 0xb6, 0xc8], '速度'],
  ])('is detected: %s', (_, bytes, text) => {
    expect(unitOf(unit(bytes))).toEqual([text]);
  });

  it('can be set', () => {
    expect(unitOf(unit([0xcb, 0xd9]), 'windows-1252')).toEqual(['ËÙ']);
  });

  it('is reported where the bytes are of another one', () => {
    expect(unitOf(unit([0xb0, 0x43]), 'utf-8')).toEqual(['\ufffdC', 'TG_DBC_ENCODING:10']);
  });

  it('may be UTF-16 with a byte order mark', () => {
    const text = Buffer.from(`\ufeff${ENGINE}`, 'utf16le');
    expect(loadDatabase(text, { file: 'x.dbc' }).database.messages[0]!.name).toBe('Engine');
  });
});
