/** A name and a face for somebody who has not chosen yet: "Moonlit otter 🦦", "달빛 수달 🦦". */
import type { Language } from "../texts.ts";
import type { Profile } from "./settings.ts";

const animals = [
  ["🦦", "수달", "otter"],
  ["🐯", "호랑이", "tiger"],
  ["🦊", "여우", "fox"],
  ["🐻", "반달곰", "bear"],
  ["🐰", "토끼", "rabbit"],
  ["🦉", "부엉이", "owl"],
  ["🐢", "거북이", "turtle"],
  ["🐳", "고래", "whale"],
  ["🐿️", "다람쥐", "squirrel"],
  ["🦔", "고슴도치", "hedgehog"],
  ["🐧", "펭귄", "penguin"],
  ["🐙", "문어", "octopus"],
  ["🦢", "백조", "swan"],
  ["🐸", "개구리", "frog"],
  ["🦌", "사슴", "deer"],
  ["🐝", "꿀벌", "bee"],
  ["🦭", "물범", "seal"],
  ["🐈", "고양이", "cat"],
  ["🐕", "강아지", "dog"],
  ["🦩", "홍학", "flamingo"],
  ["🐉", "용", "dragon"],
  ["🦝", "너구리", "raccoon"],
  ["🐌", "달팽이", "snail"],
  ["🦋", "나비", "butterfly"],
] as const;

const moods = [
  ["달빛", "Moonlit"],
  ["신나는", "Cheerful"],
  ["졸린", "Sleepy"],
  ["용감한", "Brave"],
  ["춤추는", "Dancing"],
  ["느긋한", "Easygoing"],
  ["반짝이는", "Sparkling"],
  ["호기심 많은", "Curious"],
  ["노래하는", "Singing"],
  ["배고픈", "Hungry"],
  ["비 오는 날의", "Rainy-day"],
  ["새벽", "Dawn"],
] as const;

export const faces: readonly string[] = animals.map(([face]) => face);

export function randomProfile(language: Language): Profile {
  const [avatar, ko, en] = pick(animals);
  const [koMood, enMood] = pick(moods);
  return { avatar, name: language === "ko" ? `${koMood} ${ko}` : `${enMood} ${en}` };
}

function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)] as T;
}
