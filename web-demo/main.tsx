/** Starts the page. Everything it shows or keeps hangs on one `Demo`. */
import { render } from "preact";
import { App } from "./app.tsx";
import { Demo, DemoContext } from "./state/demo.ts";

const root = document.getElementById("app");
if (!root) throw new Error("index.html has no #app");
const demo = new Demo();
demo.start();
render(
  <DemoContext.Provider value={demo}>
    <App />
  </DemoContext.Provider>,
  root,
);
