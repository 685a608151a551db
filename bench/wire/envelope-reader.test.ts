import { expect, test } from "bun:test";
import fc from "fast-check";
import { EnvelopeReader, envelopeOf } from "./envelope-reader.ts";

test("every envelope comes once, whole and in order, wherever the bytes are cut", () => {
  const envelopes = fc.array(fc.record({ data: fc.uint8Array({ maxLength: 40 }), flags: fc.constantFrom(0, 2, 0x80) }));
  const cuts = fc.array(fc.nat(200));
  fc.assert(
    fc.property(envelopes, cuts, (sent, at) => {
      const bytes = Buffer.concat(
        sent.map(({ flags, data }) => {
          const envelope = envelopeOf(data);
          envelope[0] = flags;
          return envelope;
        }),
      );
      const seen: { data: Uint8Array; flags: number }[] = [];
      const reader = new EnvelopeReader((flags, chunk, start, end) => {
        seen.push({ flags, data: new Uint8Array(chunk.subarray(start, end)) });
      });
      let start = 0;
      for (const end of [...at.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]) {
        reader.push(bytes, start, end);
        start = end;
      }
      expect(seen).toEqual(sent);
    }),
  );
});

test("an envelope of absurd length is refused before anything is kept for it", () => {
  const prefix = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
  expect(() => new EnvelopeReader(() => {}).push(prefix, 0, 5)).toThrow(RangeError);
});
