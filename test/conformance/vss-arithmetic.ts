/**
 * The arithmetic of `transform.math` once more, by another way than the code under test: a shunting yard (Dijkstra 1961)
 * over two stacks, no recursion and no tree. Numbers, `x`, `+ - * / % ^`, parentheses, `floor`, `ceil`, `abs`, `round`, `sqrt`.
 */
type Operator = { readonly rank: number; readonly right?: true; readonly apply: (a: number, b: number) => number };

const OPERATORS: Readonly<Record<string, Operator>> = {
  '+': { rank: 1, apply: (a, b) => a + b },
  '-': { rank: 1, apply: (a, b) => a - b },
  '*': { rank: 2, apply: (a, b) => a * b },
  '/': { rank: 2, apply: (a, b) => a / b },
  '%': { rank: 2, apply: (a, b) => a - b * Math.floor(a / b) },
  /** A sign before a value: weaker than a power, as in −2² = −4. */
  '~': { rank: 3, right: true, apply: (_, b) => -b },
  '^': { rank: 4, right: true, apply: (a, b) => a ** b },
};
const FUNCTIONS: Readonly<Record<string, (a: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  abs: Math.abs,
  sqrt: Math.sqrt,
  // Python: halves go to the even neighbour.
  round: (a) => (Math.abs(a % 1) === 0.5 ? 2 * Math.round(a / 2) : Math.round(a)),
};

/** @throws {Error} for what it does not know, so that such a transform is seen and not taken as equal */
export function evaluate(text: string, x: number): number {
  const values: number[] = [];
  const stack: string[] = [];
  const reduce = () => {
    const name = stack.pop()!;
    const b = values.pop()!;
    const a = name === '~' ? 0 : values.pop()!;
    values.push(OPERATORS[name]!.apply(a, b));
  };
  let isValueNext = true;
  for (const [token] of text.replaceAll('**', '^').matchAll(/\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+|[A-Za-z]+|\S/g)) {
    if (token === 'x' || /^[\d.]/.test(token)) {
      values.push(token === 'x' ? x : Number(token));
      isValueNext = false;
    } else if (token === '(' || FUNCTIONS[token] !== undefined) stack.push(token);
    else if (token === ')') {
      while (stack.at(-1) !== '(') reduce();
      stack.pop();
      const called = FUNCTIONS[stack.at(-1) ?? ''];
      if (called !== undefined) {
        stack.pop();
        values.push(called(values.pop()!));
      }
      isValueNext = false;
    } else {
      const name = isValueNext && token === '-' ? '~' : token;
      const operator = OPERATORS[name];
      if (operator === undefined) throw new Error(`"${token}" is not known here`);
      const isWeaker = (other: string | undefined) => {
        const rank = OPERATORS[other ?? '']?.rank ?? 0;
        return rank > operator.rank || (rank === operator.rank && operator.right !== true);
      };
      while (name !== '~' && isWeaker(stack.at(-1))) reduce();
      stack.push(name);
      isValueNext = true;
    }
  }
  while (stack.length > 0) reduce();
  return values[0]!;
}
