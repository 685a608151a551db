/** The words of the last minute, as bars that glide past one another when their order changes. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { useDemo } from "../state/demo.ts";

const glide = { duration: 600, easing: "cubic-bezier(0.2, 0.8, 0.2, 1)" };

export function HotWords() {
  const { settings, session, pane } = useDemo();
  const text = settings.text.value;
  const words = session.value?.hotWords.value ?? [];
  const list = useRef<HTMLOListElement>(null);
  const before = useRef(new Map<string, { top: number; share: number }>());
  const most = words[0]?.users ?? 1;

  // The rows stand in the document in their order, for whoever reads it; only the eye sees them move from the old place
  // to the new one. Transitions would break off where a row is moved in the document.
  useLayoutEffect(() => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const now = new Map<string, { top: number; share: number }>();
    for (const row of list.current?.children ?? []) {
      if (!(row instanceof HTMLElement) || row.dataset.word === undefined) continue;
      const share = Number(row.dataset.share);
      const old = before.current.get(row.dataset.word);
      const bar = row.querySelector(".bar");
      now.set(row.dataset.word, { top: row.offsetTop, share });
      if (still) continue;
      if (!old) row.animate([{ opacity: 0, transform: "translateX(-12px)" }, {}], glide);
      else if (old.top !== row.offsetTop) {
        row.animate([{ transform: `translateY(${old.top - row.offsetTop}px)` }, {}], glide);
      }
      bar?.animate([{ transform: `scaleX(${old?.share ?? 0})` }, { transform: `scaleX(${share})` }], glide);
    }
    before.current = now;
  }, [words]);

  return (
    // On a small screen this part scrolls and holds nothing else that takes the focus.
    <section class="panel hot-words" aria-labelledby="words-title" tabindex={pane.value === "words" ? 0 : undefined}>
      <header>
        <h2 id="words-title">{text.hotWords}</h2>
        <span class="note">{text.hotWordsNote}</span>
      </header>
      {words.length === 0 ? (
        <p class="empty">{text.noHotWords}</p>
      ) : (
        <ol ref={list}>
          {words.map(({ word, users }, index) => (
            <li key={word} data-word={word} data-share={users / most}>
              <span class="bar" style={{ transform: `scaleX(${users / most})` }} aria-hidden="true" />
              <span class="rank" aria-hidden="true">
                {index + 1}
              </span>
              <bdi class="word">{word}</bdi>
              <span class="users">{text.people(settings.number.value.format(users), users === 1)}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
