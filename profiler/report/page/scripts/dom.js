// Elements. Text from outside only ever becomes a text node or an attribute, never markup.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// A drop-down that calls `change` with the number of the chosen option.
function chooser(label, options, change) {
  const select = element('select', { 'aria-label': label, onchange: () => change(select.selectedIndex) },
    ...options.map((option) => element('option', {}, option)));
  return select;
}

function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}
