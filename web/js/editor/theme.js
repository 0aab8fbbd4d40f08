/**
 * The host's colours for what is drawn on a canvas; elements take them from CSS themselves.
 *
 * @typedef {{dark: boolean, background: string, sky: [string, string], floor: string, grid: string, gridStrong: string, text: string, dim: string,
 *   accent: string, warning: string, error: string, halo: string, axes: [string, string, string]}} Theme
 */

/** @param {string} color */
function brightness(color) {
  const [r, g, b] = (color.match(/[\d.]+/g) ?? ['0', '0', '0']).map(Number);
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}

/**
 * @param {HTMLElement} element  styled by editor.css
 * @returns {Theme}
 */
export function readTheme(element) {
  const style = getComputedStyle(element);
  const dark = brightness(style.backgroundColor) < 0.5;
  const ink = dark ? '255, 255, 255' : '0, 0, 0';
  return {
    dark,
    background: dark ? '#17181b' : '#f7f7f8',
    sky: dark ? ['#14171c', '#2b323c'] : ['#f2f5f8', '#dfe6ee'],
    floor: dark ? '#33363b' : '#c9cbc8',
    grid: `rgba(${ink}, 0.07)`,
    gridStrong: `rgba(${ink}, 0.16)`,
    text: style.color,
    dim: `rgba(${ink}, 0.5)`,
    accent: style.getPropertyValue('--cvd-accent').trim() || '#4d9fff',
    warning: dark ? '#ffc04d' : '#b26a00',
    error: dark ? '#ff7a70' : '#c62828',
    halo: dark ? 'rgba(0, 0, 0, 0.7)' : 'rgba(255, 255, 255, 0.85)',
    axes: dark ? ['#e5534b', '#57ab5a', '#539bf5'] : ['#cf3a32', '#2f8a3a', '#2f74d0'],
  };
}

/**
 * Call `changed` when the host switches its palette, which it writes into the root's style and the body's classes.
 *
 * @param {() => void} changed
 * @returns {() => void} stops it
 */
export function watchTheme(changed) {
  const observer = new MutationObserver(changed);
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true, attributeFilter: ['style', 'class'] });
  }
  return () => observer.disconnect();
}
