/**
 * Every text of the page, in Korean and English. Owns no state: state/settings.ts says which language is shown.
 *
 * A refusal is found by the reason of its google.rpc.ErrorInfo, then by its code; so a new reason of the gateway is
 * shown in words before this page knows it.
 */
import { Code } from "@connectrpc/connect";
import type { Refusal } from "../client/refusal.ts";
import { EndReason, GapReason } from "../gen/chat/v1/event_pb.ts";

export type Language = "ko" | "en";

const en = {
  skipToChat: "Skip to chat",
  siteName: "Madang Live",
  language: "Language",
  theme: "Theme",
  themes: { system: "System", light: "Light", dark: "Dark" },
  panes: "Parts of the page",
  pane: { chat: "Chat", words: "Hot words", rooms: "Rooms" },

  live: "LIVE",
  closed: "CLOSED",
  viewers: (count: string) => `${count} watching`,
  onAir: "On air for",
  sceneLabel: "A drawn night concert in a courtyard; light sticks rise when people write. There is no video.",
  sceneNote: "Drawn scene, moved by the chat",
  play: "Play the scene",
  pause: "Pause the scene",
  noWordYet: "WELCOME",

  chat: "Live chat",
  chatLog: "Chat messages",
  you: "you",
  earlier: "Earlier messages",
  loadingEarlier: "Loading earlier messages…",
  beginning: "The room begins here.",
  quiet: "Nobody has said anything yet. Be the first.",
  newMessages: (count: string, one: boolean) => `${count} new message${one ? "" : "s"}`,
  toNewest: "To the newest",
  manyMessages: (count: string) => `${count} new messages in the last ten seconds`,
  gap: {
    [GapReason.UNSPECIFIED]: "Some messages are missing here.",
    [GapReason.SLOW_READER]: "This page was too slow, so some messages were left out.",
    [GapReason.LOST]: "The storage lost some messages here.",
    [GapReason.EXPIRED]: "Messages here are older than what is kept.",
  },
  fillGap: "Load them",

  write: "Say something to the room",
  send: "Send",
  sending: "sending",
  accepted: "accepted, on its way back",
  refused: "Not sent:",
  again: "Send again",
  edit: "Edit",
  left: (count: string) => `${count} left`,
  tooLong: (count: string, max: string) => `${count} characters, the limit is ${max}.`,

  profile: "Who are you?",
  profileWhy: "A name and a face is all it takes.",
  name: "Name",
  face: "Face",
  shuffle: "Another one",
  join: "Join the chat",
  save: "Save",
  cancel: "Cancel",
  changeProfile: (name: string) => `You are ${name}. Change name or face`,

  hotWords: "Hot words",
  hotWordsNote: "by people, last 60 seconds",
  noHotWords: "Words that several people use show up here.",
  people: (count: string, one: boolean) => `${count} ${one ? "person" : "people"}`,

  rooms: "Rooms",
  newRoom: "New room",
  roomTitle: "What is it about?",
  create: "Create",
  moreRooms: "More rooms",
  noRooms: "There is no room yet. Make the first one.",
  pickRoom: "Pick a room, or make one.",
  here: "you are here",
  closedRoom: "This room is closed. Its messages stay readable.",

  connection: "Connection",
  protocol: "Protocol",
  state: {
    idle: "Not connected",
    connecting: "Connecting",
    live: "Live",
    waiting: "Reconnecting",
    ended: "Ended",
  },
  cursor: "Your position",
  top: "Newest position",
  behind: (count: string) => `${count} behind`,
  inStep: "in step",
  resumes: "Resumed",
  times: (count: string, one: boolean) => `${count} time${one ? "" : "s"}`,
  cut: "Cut my line for 3 s",
  cutNow: "Line is cut",
  resumed: (position: string, seconds: string, caughtUp: string, protocol: string) =>
    `Resumed at ${position} in ${seconds} s over ${protocol}, ${caughtUp} caught up`,

  endReasons: {
    [EndReason.ROOM_CLOSED]: "The room was closed.",
    [EndReason.SLOW_READER]: "This page read too slowly.",
    [EndReason.DRAINING]: "The gateway is moving; we go on at another one.",
  } as Partial<Record<EndReason, string>>,

  /** By the field that broke its rule, else the reason of google.rpc.ErrorInfo, else the code's name, else `Unknown`. */
  errors: {
    text: "a message has 1 to 500 characters and no control characters.",
    "author.name": "a name has 1 to 40 characters and no control characters.",
    title: "a title has 1 to 100 characters and no control characters.",
    MESSAGE_TOO_LARGE: "it is too large.",
    ROOM_CLOSED: "the room is closed.",
    ROOM_EXISTS: "a room of that name exists already.",
    ROOM_NOT_FOUND: "there is no such room.",
    RATE_LIMITED: "too many messages; take a breath.",
    TOO_MANY_STREAMS: "the gateway is full; try again in a moment.",
    LOG_FULL: "the room is overloaded; try again in a moment.",
    LOG_UNAVAILABLE: "the room's storage is out of reach; try again in a moment.",
    HISTORY_UNAVAILABLE: "the history is out of reach; try again in a moment.",
    CLIENT_MESSAGE_ID_REUSED: "this message was sent before with another text.",
    DRAINING: "the gateway is being replaced; try again in a moment.",
    InvalidArgument: "something in it is not allowed.",
    NotFound: "it does not exist.",
    AlreadyExists: "it exists already.",
    FailedPrecondition: "it is not possible now.",
    ResourceExhausted: "too much at once; try again in a moment.",
    DeadlineExceeded: "no answer in time.",
    Unavailable: "the gateway is out of reach.",
    Unauthenticated: "you have to sign in.",
    PermissionDenied: "you may not do that.",
    Unknown: "something went wrong.",
  } as Readonly<Record<string, string>>,
};

export type Texts = typeof en;

const ko: Texts = {
  skipToChat: "채팅으로 건너뛰기",
  siteName: "마당 라이브",
  language: "언어",
  theme: "테마",
  themes: { system: "시스템", light: "밝게", dark: "어둡게" },
  panes: "화면 구역",
  pane: { chat: "채팅", words: "인기 단어", rooms: "채팅방" },

  live: "LIVE",
  closed: "종료",
  viewers: (count) => `${count}명 시청 중`,
  onAir: "방송 시간",
  sceneLabel: "마당에서 열린 밤 공연을 그린 장면입니다. 누군가 글을 쓰면 응원봉이 올라갑니다. 영상은 아닙니다.",
  sceneNote: "채팅에 반응하는 그림",
  play: "장면 재생",
  pause: "장면 일시정지",
  noWordYet: "환영합니다",

  chat: "실시간 채팅",
  chatLog: "채팅 메시지",
  you: "나",
  earlier: "이전 메시지",
  loadingEarlier: "이전 메시지를 불러오는 중…",
  beginning: "여기서 채팅이 시작됩니다.",
  quiet: "아직 아무 말이 없어요. 첫마디를 남겨 보세요.",
  newMessages: (count) => `새 메시지 ${count}개`,
  toNewest: "맨 아래로",
  manyMessages: (count) => `지난 10초 동안 새 메시지 ${count}개`,
  gap: {
    [GapReason.UNSPECIFIED]: "여기 일부 메시지가 빠졌습니다.",
    [GapReason.SLOW_READER]: "화면이 느려서 일부 메시지를 건너뛰었습니다.",
    [GapReason.LOST]: "저장소에서 일부 메시지가 사라졌습니다.",
    [GapReason.EXPIRED]: "보관 기간이 지난 메시지입니다.",
  },
  fillGap: "불러오기",

  write: "채팅방에 말하기",
  send: "보내기",
  sending: "보내는 중",
  accepted: "접수됨, 돌아오는 중",
  refused: "보내지 못했어요:",
  again: "다시 보내기",
  edit: "고치기",
  left: (count) => `${count}자 남음`,
  tooLong: (count, max) => `${count}자입니다. 최대 ${max}자까지 쓸 수 있어요.`,

  profile: "어떤 이름으로 들어갈까요?",
  profileWhy: "이름과 얼굴만 고르면 됩니다.",
  name: "이름",
  face: "얼굴",
  shuffle: "다른 것으로",
  join: "채팅 참여",
  save: "저장",
  cancel: "취소",
  changeProfile: (name) => `지금 이름은 ${name}. 이름과 얼굴 바꾸기`,

  hotWords: "인기 단어",
  hotWordsNote: "최근 60초, 사람 수 기준",
  noHotWords: "여러 사람이 쓰는 단어가 여기에 나타납니다.",
  people: (count) => `${count}명`,

  rooms: "채팅방",
  newRoom: "새 채팅방",
  roomTitle: "무엇에 대한 방인가요?",
  create: "만들기",
  moreRooms: "채팅방 더 보기",
  noRooms: "아직 채팅방이 없어요. 첫 방을 만들어 보세요.",
  pickRoom: "채팅방을 고르거나 새로 만드세요.",
  here: "현재 방",
  closedRoom: "종료된 채팅방입니다. 지난 메시지는 읽을 수 있어요.",

  connection: "연결",
  protocol: "프로토콜",
  state: {
    idle: "연결 안 됨",
    connecting: "연결 중",
    live: "실시간",
    waiting: "다시 연결 중",
    ended: "끝남",
  },
  cursor: "내 위치",
  top: "최신 위치",
  behind: (count) => `${count}개 뒤`,
  inStep: "동기화됨",
  resumes: "이어받기",
  times: (count) => `${count}회`,
  cut: "3초간 연결 끊기",
  cutNow: "연결이 끊겼습니다",
  resumed: (position, seconds, caughtUp, protocol) =>
    `${position}에서 ${protocol}로 ${seconds}초 만에 이어받음, 놓친 ${caughtUp}개 수신`,

  endReasons: {
    [EndReason.ROOM_CLOSED]: "채팅방이 종료되었습니다.",
    [EndReason.SLOW_READER]: "화면이 너무 느리게 읽었습니다.",
    [EndReason.DRAINING]: "서버가 교체되는 중이라 다른 서버로 이어갑니다.",
  },

  errors: {
    text: "메시지는 1~500자이고 제어 문자는 쓸 수 없어요.",
    "author.name": "이름은 1~40자이고 제어 문자는 쓸 수 없어요.",
    title: "제목은 1~100자이고 제어 문자는 쓸 수 없어요.",
    MESSAGE_TOO_LARGE: "너무 큽니다.",
    ROOM_CLOSED: "종료된 채팅방이에요.",
    ROOM_EXISTS: "같은 이름의 방이 이미 있어요.",
    ROOM_NOT_FOUND: "그런 방이 없어요.",
    RATE_LIMITED: "너무 빨리 보내고 있어요. 잠시 쉬었다 보내세요.",
    TOO_MANY_STREAMS: "서버가 가득 찼어요. 잠시 뒤 다시 해 보세요.",
    LOG_FULL: "방이 너무 붐빕니다. 잠시 뒤 다시 보내세요.",
    LOG_UNAVAILABLE: "저장소에 연결할 수 없어요. 잠시 뒤 다시 보내세요.",
    HISTORY_UNAVAILABLE: "지난 메시지를 읽을 수 없어요. 잠시 뒤 다시 해 보세요.",
    CLIENT_MESSAGE_ID_REUSED: "다른 글로 이미 보낸 메시지예요.",
    DRAINING: "서버가 교체되는 중이에요. 잠시 뒤 다시 해 보세요.",
    InvalidArgument: "허용되지 않는 내용이 있어요.",
    NotFound: "찾을 수 없어요.",
    AlreadyExists: "이미 있어요.",
    FailedPrecondition: "지금은 할 수 없어요.",
    ResourceExhausted: "너무 많아요. 잠시 뒤 다시 해 보세요.",
    DeadlineExceeded: "제시간에 답이 없어요.",
    Unavailable: "서버에 연결할 수 없어요.",
    Unauthenticated: "로그인이 필요해요.",
    PermissionDenied: "권한이 없어요.",
    Unknown: "문제가 생겼어요.",
  },
};

export const texts: Readonly<Record<Language, Texts>> = { en, ko };

/** Why a call was refused, in the reader's language. */
export function refusalText(text: Texts, refusal: Refusal): string {
  const field = refusal.fieldViolations[0]?.field ?? "";
  const { errors } = text;
  return errors[field] ?? errors[refusal.reason ?? ""] ?? errors[Code[refusal.code] ?? ""] ?? errors.Unknown ?? "";
}
