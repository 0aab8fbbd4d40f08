/**
 * A real ComfyUI server with this pack on a free port, for the tests of the widget in its front end.
 *
 * Found at `COMFYUI_PATH` or `~/comfy/ComfyUI`, run with `COMFYUI_PYTHON` or the virtual environment beside it.
 * `COMFYUI_FRONT_ENDS` names the folders of other front ends (what `--front-end-root` takes), separated by colons; the
 * first of them serves the tests that run on one.
 */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACK = fileURLToPath(new URL('../../../', import.meta.url));
const PATIENCE = 120_000;

const folder = process.env.COMFYUI_PATH ?? join(homedir(), 'comfy', 'ComfyUI');
const python = process.env.COMFYUI_PYTHON ?? join(dirname(folder), 'venv', 'bin', 'python');

/** Why there is no server to be had; empty if there is. */
export function whyNoHost() {
  if (!existsSync(join(folder, 'main.py'))) return `no ComfyUI in ${folder}; set COMFYUI_PATH to its folder`;
  if (!existsSync(python)) return `no ${python}; set COMFYUI_PYTHON to the Python that ComfyUI runs with`;
  return '';
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((done) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => done(port));
    });
  });
}

/** Folders of front ends to test on; an empty one is the host's own. */
export const frontEnds = (process.env.COMFYUI_FRONT_ENDS ?? '').split(':');

/**
 * @typedef {{url: string, base: string, log: () => string, stop: () => Promise<void>}} Host
 */

/** @param {string} [frontEnd]  its folder @returns {Promise<Host>} */
export async function startHost(frontEnd = frontEnds[0]) {
  const base = mkdtempSync(join(tmpdir(), 'comfyui-editor-'));
  mkdirSync(join(base, 'custom_nodes'));
  symlinkSync(PACK, join(base, 'custom_nodes', 'collaborative-video-diffusion'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const log = join(base, 'log.txt');
  const out = openSync(log, 'w');
  const child = spawn(
    python,
    [
      'main.py',
      '--cpu',
      '--listen',
      '127.0.0.1',
      '--port',
      String(port),
      '--disable-auto-launch',
      '--base-directory',
      base,
      '--database-url',
      'sqlite:///:memory:',
      ...(frontEnd ? ['--front-end-root', frontEnd] : []),
    ],
    { cwd: folder, stdio: ['ignore', out, out], env: { ...process.env, PYTHONWARNINGS: 'ignore' } },
  );
  const ended = new Promise((done) => child.once('exit', done));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(base, { recursive: true, force: true });
  };
  const deadline = Date.now() + PATIENCE;
  while (true) {
    if (child.exitCode !== null || Date.now() > deadline) {
      const said = readFileSync(log, 'utf8').slice(-3000);
      await stop();
      throw new Error(`ComfyUI does not start:\n${said}`);
    }
    const answers = await fetch(`${url}/system_stats`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (answers) return { url, base, log: () => readFileSync(log, 'utf8'), stop };
    await new Promise((done) => setTimeout(done, 300));
  }
}
