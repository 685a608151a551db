import { expect, test } from "bun:test";
import fc from "fast-check";
import { EnvelopeCounter } from "./envelope-counter.ts";

function envelope(flags: number, length: number): Buffer {
  const bytes = Buffer.alloc(5 + length, 0xff);
  bytes[0] = flags;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

test("long envelopes are messages and marked ones are endings, wherever the bytes are cut", () => {
  const lengths = fc.array(fc.record({ length: fc.nat(40), flags: fc.constantFrom(0, 0, 0, 0x02, 0x80) }));
  const cuts = fc.array(fc.nat(200));
  fc.assert(
    fc.property(lengths, cuts, (envelopes, at) => {
      const bytes = Buffer.concat(envelopes.map(({ flags, length }) => envelope(flags, length)));
      const counter = new EnvelopeCounter(20);
      let start = 0;
      for (const end of [...at.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]) {
        counter.push(bytes, start, end);
        start = end;
      }
      expect(counter.endings).toBe(envelopes.filter(({ flags }) => flags !== 0).length);
      expect(counter.messages).toBe(envelopes.filter(({ flags, length }) => flags === 0 && length >= 20).length);
    }),
  );
});
