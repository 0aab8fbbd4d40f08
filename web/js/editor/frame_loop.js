/**
 * One animation frame per change, none while nobody can see the element, none after `destroy`.
 */
export class FrameLoop {
  #draw;
  #observer;
  #request = 0;
  #wanted = true;
  #playing = false;
  #visible = false;

  /**
   * @param {HTMLElement} element  whose visibility decides: detached, `display: none` and off-screen are all hidden
   * @param {(now: number, changed: boolean) => void} draw  `changed`: something asked for it, it is not only playing
   */
  constructor(element, draw) {
    this.#draw = draw;
    this.#observer = new IntersectionObserver((entries) => {
      this.#visible = entries[entries.length - 1].isIntersecting;
      if (this.#visible) this.#ask();
      else this.#drop();
    });
    this.#observer.observe(element);
  }

  get visible() {
    return this.#visible;
  }

  /** Draw on the next frame; as often as it is called, it is one frame. */
  invalidate() {
    this.#wanted = true;
    this.#ask();
  }

  /** Whether every frame is asked for. */
  set playing(/** @type {boolean} */ on) {
    this.#playing = on;
    this.#ask();
  }

  get playing() {
    return this.#playing;
  }

  destroy() {
    this.#observer.disconnect();
    this.#visible = false;
    this.#drop();
  }

  #ask() {
    if (this.#request || !this.#visible || !(this.#wanted || this.#playing)) return;
    this.#request = requestAnimationFrame((now) => {
      const changed = this.#wanted;
      this.#request = 0;
      this.#wanted = false;
      this.#draw(now, changed);
      this.#ask();
    });
  }

  #drop() {
    if (this.#request) cancelAnimationFrame(this.#request);
    this.#request = 0;
  }
}
