/**
 * The only place that makes elements; what they say is always text.
 */

/**
 * Make an element.
 *
 * @param {string} tag - Its name.
 * @param {object} [properties] - Its properties, `className` for example.
 * @param {...(Node | string)} children - What it holds; strings become text.
 * @returns {HTMLElement} The element.
 */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
