import { expect, test } from "bun:test";
import { JsonStream } from "./json-stream.ts";

function parse(...chunks: string[]): unknown[] {
  const values: unknown[] = [];
  const stream = new JsonStream((value) => values.push(value));
  for (const chunk of chunks) {
    stream.push(new TextEncoder().encode(chunk));
  }
  return values;
}

test("objects that follow each other without a separator are told apart", () => {
  expect(parse('{"a":1}{"b":{"c":2}}\n{\n  "d": []\n}\n')).toEqual([{ a: 1 }, { b: { c: 2 } }, { d: [] }]);
});

test("braces and quotes inside strings mean nothing", () => {
  expect(parse('{"a":"}{\\""}', '{"b":"\\\\"}')).toEqual([{ a: '}{"' }, { b: "\\" }]);
});

test("an object is given out once it is whole, however it was cut", () => {
  const whole = '{"text":"안녕 \\" }"}{"x":{}}';
  const bytes = new TextEncoder().encode(whole);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const values: unknown[] = [];
    const stream = new JsonStream((value) => values.push(value));
    stream.push(bytes.subarray(0, cut));
    stream.push(bytes.subarray(cut));
    expect(values).toEqual([{ text: '안녕 " }' }, { x: {} }]);
  }
});
