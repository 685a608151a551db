/** The chat: its head with the connection, the messages, and below them the way to write one or to join. */
import { useSignal } from "@preact/signals";
import { useDemo } from "../state/demo.ts";
import { Composer } from "./composer.tsx";
import { ConnectionStatus } from "./connection-status.tsx";
import { MessageList } from "./message-list.tsx";
import { ProfileForm } from "./profile.tsx";

export function ChatColumn() {
  const { settings, session } = useDemo();
  const text = settings.text.value;
  const room = session.value;
  const editing = useSignal(false);
  return (
    <section class="chat" id="chat" tabindex={-1} aria-labelledby="chat-title">
      <header class="chat-head">
        <h2 id="chat-title">{text.chat}</h2>
        {room && <ConnectionStatus session={room} />}
      </header>
      {room ? <MessageList key={room.roomId} session={room} /> : <p class="empty">{text.pickRoom}</p>}
      {room && !room.isOpen && !room.refused.value && <p class="chat-foot closed">{text.closedRoom}</p>}
      {room?.isOpen && settings.joined.value && !editing.value && (
        <Composer
          key={room.roomId}
          session={room}
          onEditProfile={() => {
            editing.value = true;
          }}
        />
      )}
      {room?.isOpen && (!settings.joined.value || editing.value) && (
        <ProfileForm
          onDone={() => {
            editing.value = false;
          }}
        />
      )}
    </section>
  );
}
