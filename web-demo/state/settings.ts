/**
 * What the reader chose: language, theme, protocol, name and face. Owns these signals and keeps them in the browser's
 * local storage, under one key. A browser that refuses storage gets the defaults at every visit.
 */
import { computed, effect, signal } from "@preact/signals";
import { type Language, texts } from "../texts.ts";
import { randomProfile } from "./random-profile.ts";

export type Theme = "system" | "light" | "dark";
export type Protocol = "connect" | "grpc-web";
export interface Profile {
  name: string;
  avatar: string;
}

const storageKey = "streaming-chat.settings";

export class Settings {
  readonly language = signal<Language>("en");
  readonly theme = signal<Theme>("system");
  readonly protocol = signal<Protocol>("connect");
  readonly profile = signal<Profile>({ name: "", avatar: "" });
  /** The reader has said who they are. Until then they only read. */
  readonly joined = signal(false);
  readonly lastRoomId = signal("");
  /** This browser's id as an author. */
  readonly userId: string;
  readonly text = computed(() => texts[this.language.value]);
  readonly number = computed(() => new Intl.NumberFormat(this.language.value));

  constructor(readonly storage: Pick<Storage, "getItem" | "setItem"> | undefined) {
    const kept = read(storage);
    this.language.value = oneOf(kept.language, ["ko", "en"]) ?? (/^ko\b/i.test(navigator.language) ? "ko" : "en");
    this.theme.value = oneOf(kept.theme, ["system", "light", "dark"]) ?? "system";
    this.protocol.value = oneOf(kept.protocol, ["connect", "grpc-web"]) ?? "connect";
    this.userId = kept.userId ?? newUserId();
    this.joined.value = kept.name !== undefined && kept.name !== "";
    this.profile.value = this.joined.value
      ? { name: kept.name ?? "", avatar: kept.avatar ?? "" }
      : randomProfile(this.language.value);
    this.lastRoomId.value = kept.lastRoomId ?? "";
    effect(() => this.#keep());
  }

  #keep(): void {
    const { name, avatar } = this.profile.value;
    const kept = {
      language: this.language.value,
      theme: this.theme.value,
      protocol: this.protocol.value,
      userId: this.userId,
      lastRoomId: this.lastRoomId.value,
      ...(this.joined.value ? { name, avatar } : {}),
    };
    try {
      this.storage?.setItem(storageKey, JSON.stringify(kept));
    } catch {
      // Full or forbidden storage costs only the memory of these choices.
    }
  }
}

function read(storage: Pick<Storage, "getItem"> | undefined): Record<string, string | undefined> {
  try {
    const kept: unknown = JSON.parse(storage?.getItem(storageKey) ?? "{}");
    if (typeof kept !== "object" || kept === null) return {};
    return Object.fromEntries(Object.entries(kept).filter(([, value]) => typeof value === "string"));
  } catch {
    return {};
  }
}

function oneOf<const T extends string>(value: string | undefined, allowed: readonly T[]): T | undefined {
  return allowed.find((one) => one === value);
}

/** 96 random bits. `crypto.randomUUID` exists only where the page came over TLS or from this host. */
function newUserId(): string {
  return `web-${Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
