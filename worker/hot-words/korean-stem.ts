/**
 * The word that a Korean form might come from: 페이커가 → 페이커, 방송에서는 → 방송, T1이 → T1.
 *
 * Only a candidate. Endings of nouns look like particles (고양이 → 고양), so nothing is cut off here: `HotWords` joins a form
 * with its stem only while somebody writes the stem by itself. A real analyser splits names it does not know (페이커 →
 * 페이 크 어), took 1.3 ms a message and 840 MB, and is not used.
 */

/** What must stand before a particle. A Latin letter or a digit may stand before any: how it is read aloud is unknown. */
type After = "any" | "vowel" | "consonant" | "vowelOrRieul" | "consonantNotRieul";

/**
 * Particles, the endings of 이다 that a chat hangs on nouns, and the suffixes 님 and 들. The agreement is that of the
 * standard grammar: 은/이/을/과 after a final consonant, 는/가/를/와 after a vowel, 로 also after ㄹ. What a text gets wrong
 * stays a form of its own.
 */
const endingsBefore: Record<After, string> = {
  any: `
    에 에는 에도 에만 에서 에서는 에서도 에서만 에게 에게는 에게도 에게서 에다 에다가 의 도 도요 만 만은 만이 만도 만요 만큼 만큼은 만큼이나
    까지 까지는 까지도 까지만 부터 부터는 처럼 처럼은 보다 보다는 보다도 한테 한테는 한테도 한테서 께 께서 께서는 하고 하고는 마다 조차 마저 밖에
    같이 같은 따라 대로 커녕 님 님이 님은 님을 님도 님의 님께 님아 들 들이 들은 들을 들도 들의 들아 들이랑
    임 인데 인데요 인가 인가요 인지 인듯 입니다 입니까 이라면 때문에 보고 치고 치고는
  `,
  vowel:
    "는 가 를 와 와는 와도 랑 랑은 랑도 나 야 다 네 네요 지 지요 죠 냐 란 라고 라는 라도 라서 라면 여 예요 든지 든 며 였다 였음 였네",
  consonant:
    "은 이 을 과 과는 과도 이랑 이랑은 이나 아 이야 이다 이네 이네요 이지 이지요 이죠 이냐 이란 이라고 이라는 이라도 이라서 이여 이에요 이든지 이든 이며 이었다 이었음 이었네",
  vowelOrRieul: "로 로는 로도 로만 로서 로써",
  consonantNotRieul: "으로 으로는 으로도 으로만 으로서 으로써",
};

const endings = new Map<string, After>(
  (Object.entries(endingsBefore) as [After, string][]).flatMap(([after, list]) =>
    list
      .trim()
      .split(/\s+/)
      .map((ending): [string, After] => [ending, after]),
  ),
);

const endingLengthMax = Math.max(...[...endings.keys()].map((ending) => ending.length));

/** Shorter stems are too often chance: 결과 is not 결 + 과, nor 회의 of 회. */
const stemLengthMin = 2;

/**
 * The word without its longest ending, if there is one that fits what stands before it.
 * @param word NFC, lower case, of Hangul syllables, letters and digits
 */
export function koreanStem(word: string): string | undefined {
  if (!isSyllable(word.charCodeAt(word.length - 1))) {
    return undefined;
  }
  for (let length = Math.min(endingLengthMax, word.length - 1); length > 0; length -= 1) {
    const after = endings.get(word.slice(-length));
    if (after && fits(after, word.charCodeAt(word.length - length - 1))) {
      // No shorter ending is tried where the stem is too short: 골이다 is not 골이 + 다.
      return word.length - length < stemLengthMin ? undefined : word.slice(0, -length);
    }
  }
  return undefined;
}

function fits(after: After, before: number): boolean {
  if (!isSyllable(before)) {
    return true;
  }
  // The Unicode Standard, 3.12 "Conjoining Jamo Behavior": a syllable is U+AC00 + (L * 21 + V) * 28 + T; T 8 is ㄹ.
  const final = (before - 0xac00) % 28;
  switch (after) {
    case "any":
      return true;
    case "vowel":
      return final === 0;
    case "consonant":
      return final !== 0;
    case "vowelOrRieul":
      return final === 0 || final === 8;
    case "consonantNotRieul":
      return final !== 0 && final !== 8;
  }
}

function isSyllable(unit: number): boolean {
  return unit >= 0xac00 && unit <= 0xd7a3;
}
