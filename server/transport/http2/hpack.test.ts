import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ErrorCode, type Http2ConnectionError } from "./frames.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { encodeHeaderBlock } from "./hpack-encoder.ts";

type Field = [name: string, value: string];

function decode(decoder: HpackDecoder, hex: string): Field[] {
  const fields: Field[] = [];
  decoder.decode(Buffer.from(hex.replaceAll(" ", ""), "hex"), (name, value) => fields.push([name, value]));
  return fields;
}

const get: Field[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const getAgain: Field[] = [...get, ["cache-control", "no-cache"]];
const getThird: Field[] = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/index.html"],
  [":authority", "www.example.com"],
  ["custom-key", "custom-value"],
];
const found: Field[] = [
  [":status", "302"],
  ["cache-control", "private"],
  ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
  ["location", "https://www.example.com"],
];
const foundAgain: Field[] = [[":status", "307"], ...found.slice(1)];
const ok: Field[] = [
  [":status", "200"],
  ["cache-control", "private"],
  ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
  ["location", "https://www.example.com"],
  ["content-encoding", "gzip"],
  ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
];

/** A table of 256 bytes, as in C.5 and C.6: here the encoder sets it (RFC 7541, 6.3). */
const tableOf256 = "3fe101";

describe("the examples of RFC 7541, appendix C, one connection each", () => {
  const examples: Record<string, [hex: string, fields: Field[]][]> = {
    "C.2.1 literal with indexing": [
      ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", [["custom-key", "custom-header"]]],
      ["be", [["custom-key", "custom-header"]]],
    ],
    "C.2.2 literal without indexing": [["040c 2f73 616d 706c 652f 7061 7468", [[":path", "/sample/path"]]]],
    "C.2.3 literal never indexed": [["1008 7061 7373 776f 7264 0673 6563 7265 74", [["password", "secret"]]]],
    "C.2.4 indexed": [["82", [[":method", "GET"]]]],
    "C.3 requests without Huffman coding": [
      ["8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", get],
      ["8286 84be 5808 6e6f 2d63 6163 6865", getAgain],
      ["8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", getThird],
    ],
    "C.4 requests with Huffman coding": [
      ["8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", get],
      ["8286 84be 5886 a8eb 1064 9cbf", getAgain],
      ["8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", getThird],
    ],
    "C.5 responses without Huffman coding, with eviction": [
      [
        `${tableOf256} 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
         3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        found,
      ],
      ["4803 3330 37c1 c0bf", foundAgain],
      [
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
         3630 303b 2076 6572 7369 6f6e 3d31`,
        ok,
      ],
    ],
    "C.6 responses with Huffman coding, with eviction": [
      [
        `${tableOf256} 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
         29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
        found,
      ],
      ["4883 640e ffc1 c0bf", foundAgain],
      [
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
        ok,
      ],
    ],
  };
  for (const [name, blocks] of Object.entries(examples)) {
    test(name, () => {
      const decoder = new HpackDecoder();
      for (const [hex, fields] of blocks) {
        expect(decode(decoder, hex.replaceAll(/\s/g, ""))).toEqual(fields);
      }
    });
  }
});

describe("a block that is broken is a compression error", () => {
  const broken = {
    "index 0 (RFC 7541, 6.1)": "80",
    "an index beyond the tables (2.3.3)": "be",
    "an integer above 2^28 (5.1)": "ff 80 80 80 80 80 01",
    "an integer that is cut off (5.1)": "ff 80",
    "a string that is cut off (5.2)": "40 0a 63 75",
    "a padding of more than seven bits (5.2)": "40 82 1f ff 01 61",
    "a padding that is not all ones (5.2)": "40 81 18 01 61",
    "EOS in a string (5.2)": "40 84 ff ff ff ff 01 61",
    "a table that is larger than we allow (6.3)": "3f e2 1f",
    "a table size update after a field (4.2)": "82 20",
  };
  for (const [what, hex] of Object.entries(broken)) {
    test(what, () => {
      let errorCode: number | undefined;
      try {
        decode(new HpackDecoder(), hex);
      } catch (error) {
        errorCode = (error as Http2ConnectionError).errorCode;
      }
      expect(errorCode).toBe(ErrorCode.COMPRESSION_ERROR);
    });
  }
});

test("what is encoded is decoded to the same, and leaves the table as it was", () => {
  const octets = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)) });
  const fields = fc.array(fc.tuple(fc.oneof(fc.constantFrom("content-type", "etag", "grpc-status"), octets), octets));
  const decoder = new HpackDecoder();
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 599 }), fields, (status, each) => {
      expect(decode(decoder, encodeHeaderBlock(status, each).toString("hex"))).toEqual([
        [":status", String(status)],
        ...each,
      ]);
    }),
  );
});

test("no bytes make the decoder throw anything but a compression error", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder();
      try {
        for (const block of blocks) {
          decoder.decode(Buffer.from(block), () => {});
        }
      } catch (error) {
        expect((error as Http2ConnectionError).errorCode).toBe(ErrorCode.COMPRESSION_ERROR);
      }
    }),
    { numRuns: 5_000 },
  );
});
