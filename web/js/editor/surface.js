/**
 * A canvas that is as sharp as the screen shows it: device pixels, and the zoom of the graph it lies in.
 */

const MOST_PIXELS_PER_UNIT = 3;

export class Surface {
  #observer;
  width = 0;
  height = 0;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} changed  its size did
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.#observer = new ResizeObserver(() => {
      this.width = canvas.clientWidth;
      this.height = canvas.clientHeight;
      changed();
    });
    this.#observer.observe(canvas);
  }

  /**
   * Clears the canvas for a drawing in CSS pixels.
   *
   * @param {string} background
   * @returns {boolean} whether there is anything to draw on
   */
  begin(background) {
    const { canvas, context, width, height } = this;
    if (!width || !height) return false;
    const zoom = canvas.getBoundingClientRect().width / width;
    const density = Math.min(Math.max(devicePixelRatio * zoom, 1), MOST_PIXELS_PER_UNIT);
    const [w, h] = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    context.setTransform(w / width, 0, 0, h / height, 0, 0);
    context.fillStyle = background;
    context.fillRect(0, 0, width, height);
    context.font = '600 10px Inter, system-ui, sans-serif';
    context.lineCap = context.lineJoin = 'round';
    return true;
  }

  destroy() {
    this.#observer.disconnect();
  }
}
