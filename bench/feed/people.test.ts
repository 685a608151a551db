import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { AuthorSchema } from "../../gen/chat/v1/message_pb.ts";
import { seededRandom } from "../../lib/seeded-random.ts";
import { makePeople } from "./people.ts";

describe("makePeople", () => {
  test("the same seed gives the same people, another seed others", () => {
    const people = makePeople(20, 7, seededRandom(7));
    expect(makePeople(20, 7, seededRandom(7))).toEqual(people);
    const ids = new Set(people.map(({ userId }) => userId));
    expect(makePeople(20, 8, seededRandom(8)).some(({ userId }) => ids.has(userId))).toBe(false);
  });

  test("ids and names are different, names Korean and English, and the gateway takes all of them", () => {
    const people = makePeople(2_000, 1, seededRandom(1));
    expect(new Set(people.map(({ userId }) => userId)).size).toBe(2_000);
    expect(new Set(people.map(({ name }) => name)).size).toBe(2_000);
    expect(people.filter(({ name }) => /^[가-힣 \d]+$/.test(name)).length).toBeGreaterThan(1_000);
    expect(people.filter(({ name }) => /^[A-Za-z \d]+$/.test(name)).length).toBeGreaterThan(500);
    const validator = createValidator();
    for (const author of people) {
      expect(author.avatar).toMatch(/^\p{Emoji_Presentation}/u);
      expect(validator.validate(AuthorSchema, create(AuthorSchema, author)).kind).toBe("valid");
    }
  });
});
