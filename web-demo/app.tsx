/** The page: head, stage with its panels, chat. On a narrow screen one of chat, hot words and rooms at a time. */

import { ChatColumn } from "./parts/chat-column.tsx";
import { HotWords } from "./parts/hot-words.tsx";
import { Rooms } from "./parts/rooms.tsx";
import { Stage } from "./parts/stage.tsx";
import { useDemo } from "./state/demo.ts";
import type { Theme } from "./state/settings.ts";

const panes = ["chat", "words", "rooms"] as const;
const themes: readonly Theme[] = ["system", "light", "dark"];

export function App() {
  const demo = useDemo();
  const { settings, pane } = demo;
  const text = settings.text.value;
  return (
    <div class="page" data-pane={pane.value}>
      {/* biome-ignore lint/a11y/useValidAnchor: a link is what a skip link is; only the address must stay */}
      <a
        class="skip"
        href="#chat"
        onClick={(event) => {
          // The address holds the room: move the focus without touching it.
          event.preventDefault();
          pane.value = "chat";
          document.getElementById("chat")?.focus();
        }}
      >
        {text.skipToChat}
      </a>
      <header class="site">
        <p class="brand">
          <svg viewBox="0 0 40 28" aria-hidden="true">
            <path class="roof" d="M1 11c7 0 9-4 11-10h16c2 6 4 10 11 10-3 3-6 3-8 3H9c-2 0-5 0-8-3z" />
            <path class="beam" d="M9 17h22v3H9zM11 20h3v7h-3zM26 20h3v7h-3z" />
          </svg>
          {text.siteName}
        </p>
        <div class="tools">
          <label>
            <span class="unseen">{text.language}</span>
            <select
              value={settings.language.value}
              onChange={(event) => {
                settings.language.value = event.currentTarget.value === "ko" ? "ko" : "en";
              }}
            >
              <option value="ko" lang="ko">
                한국어
              </option>
              <option value="en" lang="en">
                English
              </option>
            </select>
          </label>
          <label>
            <span class="unseen">{text.theme}</span>
            <select
              value={settings.theme.value}
              onChange={(event) => {
                settings.theme.value = themes.find((theme) => theme === event.currentTarget.value) ?? "system";
              }}
            >
              {themes.map((theme) => (
                <option key={theme} value={theme}>
                  {text.themes[theme]}
                </option>
              ))}
            </select>
          </label>
        </div>
      </header>
      <main>
        <Stage />
        <nav class="panes" aria-label={text.panes}>
          {panes.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={pane.value === one}
              onClick={() => {
                pane.value = one;
              }}
            >
              {text.pane[one]}
            </button>
          ))}
        </nav>
        <HotWords />
        <Rooms />
        <ChatColumn />
      </main>
    </div>
  );
}
