import { expect, test } from "bun:test";
import fc from "fast-check";
import type { SharedConnection } from "../transport/response-sink.ts";
import { Lane } from "./lane.ts";
import { Outgoing } from "./outgoing.ts";
import type { Subscription } from "./subscription.ts";

class Bytes extends Outgoing {
  protected envelopes(): Buffer {
    return Buffer.from("bytes");
  }
}

test("whoever comes and goes, each reader is written to once, and those of one connection between its cork and uncork", () => {
  const changes = fc.array(fc.tuple(fc.boolean(), fc.nat(11)), { maxLength: 60 });
  fc.assert(
    fc.property(changes, (steps) => {
      let corked: number | undefined;
      let corks = 0;
      const written = new Map<number, number>();
      const connections = Array.from(
        { length: 3 },
        (_, connection): SharedConnection => ({
          cork: () => {
            expect(corked).toBeUndefined();
            corked = connection;
            corks++;
          },
          uncork: () => {
            corked = undefined;
          },
        }),
      );
      // Readers 0 to 8 share three connections, the others have none to share.
      const readers = Array.from({ length: 12 }, (_, reader) => {
        const connection = connections[reader % 3];
        const target = {
          connection: reader < 9 ? connection : undefined,
          write: () => {
            written.set(reader, (written.get(reader) ?? 0) + 1);
            expect(corked === undefined || (reader < 9 && corked === reader % 3)).toBe(true);
            return true;
          },
        };
        return { reader: { target } } as unknown as Subscription;
      });
      const lane = new Lane("proto", "http2");
      const inside = new Set<number>();
      for (const [comes, reader] of steps) {
        if (comes && !inside.has(reader)) {
          inside.add(reader);
          lane.add(readers[reader] as Subscription);
        } else if (!comes) {
          inside.delete(reader);
          lane.remove(readers[reader] as Subscription);
        }
      }
      lane.deliver(new Bytes(undefined));
      expect([...written].sort()).toEqual([...inside].map((reader) => [reader, 1] as [number, number]).sort());
      const shared = [0, 1, 2].filter(
        (place) => [...inside].filter((each) => each < 9 && each % 3 === place).length > 1,
      );
      expect(corks).toBe(shared.length);
      expect(corked).toBeUndefined();
    }),
  );
});
