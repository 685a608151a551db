/** A Lua script as text: `import source from "./append.lua" with { type: "text" }`. */
declare module "*.lua" {
  const source: string;
  export default source;
}
