/** The open rooms, newest first, and a way to make one. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useDemo } from "../state/demo.ts";
import { refusalText } from "../texts.ts";

export function Rooms() {
  const demo = useDemo();
  const { settings, rooms, session, creating } = demo;
  const text = settings.text.value;
  const refused = demo.roomsRefused.value;
  return (
    <section class="panel rooms" aria-labelledby="rooms-title">
      <header>
        <h2 id="rooms-title">{text.rooms}</h2>
        <button
          type="button"
          class="plain"
          aria-expanded={creating.value}
          onClick={() => {
            creating.value = !creating.value;
          }}
        >
          {text.newRoom}
        </button>
      </header>
      {creating.value && <NewRoom />}
      {refused && (
        <p class="error" role="alert">
          {refusalText(text, refused)}
        </p>
      )}
      {!refused && rooms.value.length === 0 && <p class="empty">{text.noRooms}</p>}
      <ul>
        {rooms.value.map((room) => {
          const here = room.roomId === session.value?.roomId;
          return (
            <li key={room.roomId}>
              <a
                href={`#/${room.roomId}`}
                aria-current={here ? "page" : undefined}
                onClick={() => {
                  demo.pane.value = "chat";
                }}
              >
                <bdi>{room.title}</bdi>
                <small>{here ? text.here : room.roomId}</small>
              </a>
            </li>
          );
        })}
      </ul>
      {demo.moreRooms.value && (
        <button type="button" class="plain" onClick={() => void demo.loadRooms(false)}>
          {text.moreRooms}
        </button>
      )}
    </section>
  );
}

function NewRoom() {
  const demo = useDemo();
  const text = demo.settings.text.value;
  const title = useSignal("");
  const problem = useSignal("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const create = async (event: Event) => {
    event.preventDefault();
    if (title.value.trim() === "") return field.current?.focus();
    const refusal = await demo.createRoom(title.value.trim());
    if (refusal) problem.value = refusalText(text, refusal);
    else demo.creating.value = false;
  };
  return (
    <form class="new-room" onSubmit={create}>
      <label class="field">
        <span>{text.roomTitle}</span>
        <input
          ref={field}
          name="title"
          autocomplete="off"
          value={title.value}
          aria-invalid={problem.value !== ""}
          onInput={(event) => {
            title.value = event.currentTarget.value;
          }}
        />
      </label>
      <button type="submit" class="main">
        {text.create}
      </button>
      {problem.value && (
        <p class="error" role="alert">
          {problem.value}
        </p>
      )}
    </form>
  );
}
