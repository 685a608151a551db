/**
 * The demo page, bundled when the gateway starts and kept in memory: a page, a script, a style sheet.
 *
 * The names of script and style carry a hash of their content, so a browser may keep them for good.
 */
import path from "node:path";

export interface DemoFile {
  body: Uint8Array<ArrayBuffer>;
  contentType: string;
  /** Whether its name changes with its content. */
  isHashed: boolean;
}

/** By path, "/" for the page. */
export type DemoFiles = ReadonlyMap<string, DemoFile>;

/** @throws {AggregateError} where the page does not build */
export async function bundleDemo(): Promise<DemoFiles> {
  const page = path.join(import.meta.dir, "../../web-demo/index.html");
  const { outputs } = await Bun.build({
    entrypoints: [page],
    target: "browser",
    minify: true,
    publicPath: "/",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const files = new Map<string, DemoFile>();
  for (const output of outputs) {
    const name = path.basename(output.path);
    const file = {
      body: new Uint8Array(await output.arrayBuffer()),
      contentType: output.type,
      isHashed: name !== "index.html",
    };
    files.set(file.isHashed ? `/${name}` : "/", file);
  }
  return files;
}
