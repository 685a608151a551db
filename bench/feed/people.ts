/** The audience of the feeder: made-up people with an id, a Korean or English name, and an emoji for a face. */
import type { AuthorInit } from "../../client/index.ts";

const koreanFirst =
  "졸린 배고픈 신난 수줍은 용감한 느긋한 반짝이는 새벽의 비오는날 우주최강 지각한 야근하는 춤추는 노래하는 몰래온 민트맛".split(
    " ",
  );
const koreanLast =
  "고양이 수달 호랑이 펭귄 두더지 붕어빵 떡볶이 감자 고구마 다람쥐 너구리 토끼 곰돌이 참새 라면 만두".split(" ");
const englishFirst =
  "Sleepy Hungry Lucky Shy Brave Cosmic Sunny Midnight Dancing Quiet Turbo Pixel Minty Rainy Golden Happy".split(" ");
const englishLast =
  "Otter Tiger Penguin Panda Waffle Noodle Potato Comet Fox Bunny Koala Whale Robin Mochi Pickle Yeti".split(" ");
const avatars = [
  ..."🐱 🐶 🦊 🐼 🐯 🦁 🐸 🐵 🐧 🐤 🦉 🐺 🐻 🐨 🐰 🦄 🐝 🦋 🐢 🐙 🦀 🐬 🐳 🦦 🦥 🐲 🌵 🍀 🍄 🌙 ⭐ 🔥 ⚡ 🌈 🍎 🍉 🍩 🍕 🎧 🚀".split(
    " ",
  ),
];

/**
 * The same people for the same seed and count. Ids differ between seeds, so feeders side by side are different people.
 * @param count at least 1; above 512 names repeat, with a number
 */
export function makePeople(count: number, seed: number, random: () => number): Required<AuthorInit>[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const taken = new Map<string, number>();
  return Array.from({ length: count }, (_, at) => {
    const name = at % 3 === 2 ? pick(englishFirst) + pick(englishLast) : `${pick(koreanFirst)} ${pick(koreanLast)}`;
    const namesakes = taken.get(name) ?? 0;
    taken.set(name, namesakes + 1);
    return {
      userId: `feed-${seed}-${at + 1}`,
      name: namesakes === 0 ? name : `${name} ${namesakes + 1}`,
      avatar: pick(avatars),
    };
  });
}
