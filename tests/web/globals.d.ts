/** What the page has besides the browser's own: the host's objects, and what the tests put there. */

type Editor = import('../../web/js/editor/editor.js').TrajectoryEditor;

declare module '*/scripts/app.js' {
  /** The host's application; its types are not published. */
  export const app: any;
}

interface HTMLElement {
  /** Of `.cvd-editor`. */
  editor: Editor;
}

interface ParentNode {
  /** What the tests look for is there, or they fail. */
  querySelector(selectors: `.cvd-${string}`): any;
}

interface Document {
  getElementById(id: 'node'): HTMLElement;
}

interface Window {
  app: any;
  LiteGraph: any;
  __COMFYUI_FRONTEND_VERSION__?: string;
  /** Of the test page, which plays the host. */
  editor: Editor;
  commands: typeof import('../../web/js/editor/session/commands.js');
  host: { texts: string[]; views: number | null; settings: Record<string, number> };
  open_editor: (text: string, settings: object) => void;
  ready: boolean;
  counts: { frames: Set<number>; drawn: number; listeners: number };
  heard: string[];
  painted: number;
  pwned?: number;
  kept: Editor;
}
