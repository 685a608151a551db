import { describe, expect, test } from "bun:test";
import { koreanStem } from "./korean-stem.ts";

describe("koreanStem", () => {
  test.each([
    // Agreement with the final consonant.
    ["페이커가", "페이커"],
    ["페이커는", "페이커"],
    ["페이커를", "페이커"],
    ["페이커와", "페이커"],
    ["방송이", "방송"],
    ["방송은", "방송"],
    ["방송을", "방송"],
    ["방송과", "방송"],
    ["서울로", "서울"],
    ["서버로", "서버"],
    ["방송으로", "방송"],
    // Any syllable before.
    ["방송에", "방송"],
    ["콘서트의", "콘서트"],
    ["대박임", "대박"],
    ["지민아", "지민"],
    ["민수야", "민수"],
    ["페이커님", "페이커"],
    // The longest one.
    ["방송에서는", "방송"],
    ["방송까지도", "방송"],
    ["방송이라는", "방송"],
    ["페이커한테도", "페이커"],
    // Latin and digits agree with everything.
    ["t1이", "t1"],
    ["t1은", "t1"],
    ["gg가", "gg"],
    // A candidate that is wrong; the counting finds out.
    ["고양이", "고양"],
    // The longest does not fit, a shorter one does.
    ["오이라고", "오이"],
  ])("%s may come from %s", (word, stem) => {
    expect(koreanStem(word)).toBe(stem);
  });

  test.each([
    // No agreement: 이 after a vowel, 가 and 로 after a consonant.
    "아파이",
    "방송가",
    "방송로",
    // The stem would be one syllable; a shorter ending is not tried.
    "결과",
    "회의",
    "골이다",
    // No ending at all.
    "페이커",
    "goal",
    "가",
    "",
  ])("%p has none", (word) => {
    expect(koreanStem(word)).toBeUndefined();
  });
});
