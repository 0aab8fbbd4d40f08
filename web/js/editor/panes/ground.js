/**
 * What lies under the paths of a pane, kept as a picture while the pane looks at it from the same place: a drag draws
 * only what it moves.
 *
 * @import {Surface} from '../surface.js'
 */

export class Ground {
  #canvas = document.createElement('canvas');
  #key = '';
  /** @type {unknown} */
  #image = null;

  /**
   * @param {Surface} surface  drawn on
   * @param {unknown} seen  all that it depends on, comparable as JSON
   * @param {unknown} image  that it shows, compared by identity
   * @param {(context: CanvasRenderingContext2D) => void} paint
   */
  draw(surface, seen, image, paint) {
    const { canvas, context, width, height } = surface;
    const key = JSON.stringify([seen, canvas.width, canvas.height]);
    if (key !== this.#key || image !== this.#image) {
      this.#key = key;
      this.#image = image;
      this.#canvas.width = canvas.width;
      this.#canvas.height = canvas.height;
      const own = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d'));
      own.setTransform(context.getTransform());
      own.font = context.font;
      own.lineCap = own.lineJoin = 'round';
      paint(own);
    }
    context.drawImage(this.#canvas, 0, 0, width, height);
  }
}
