/** A .cql file is imported as its text: `import text from "./schema/001-rooms.cql" with { type: "text" }`. */
declare module "*.cql" {
  const text: string;
  export default text;
}
