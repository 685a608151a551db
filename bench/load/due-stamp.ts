/**
 * The time a message was due, written into its client_message_id, where every reader finds it: 16 digits of µs since
 * 1970, then what makes the id unique.
 */
export const stampDigits = 16;

/** @param dueUs as `nowUs()` says it @param unique of A–Z a–z 0–9 _ - */
export function stampedId(dueUs: number, unique: string): string {
  return `${String(dueUs).padStart(stampDigits, "0")}-${unique}`;
}
